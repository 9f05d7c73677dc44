"""Counting requests the way the platforms do: fixed windows and sliding windows."""

from collections import defaultdict, deque
from dataclasses import dataclass

from libs.chassis.clock import Clock


@dataclass(frozen=True)
class Standing:
    """Where a caller stands after a request: allowed or not, and what is left."""

    allowed: bool
    limit: int
    used: int
    # Unix seconds at which the window ends, rounded up.
    reset: int

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


class Limits:
    """Counters per (rule, caller). `override` lets the control API tighten any rule."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fixed: dict[tuple[str, str], tuple[int, int]] = {}
        self._sliding: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._override: dict[str, int] = {}

    def override(self, rule: str, limit: int | None) -> None:
        """Sets another limit for a rule; None restores the platform's own."""
        if limit is None:
            self._override.pop(rule, None)
        else:
            self._override[rule] = limit

    def limit(self, rule: str, own: int) -> int:
        return self._override.get(rule, own)

    def fixed(self, rule: str, caller: str, own: int, seconds: int) -> Standing:
        """Counts one request in windows aligned to multiples of `seconds` since the epoch."""
        limit = self.limit(rule, own)
        window = int(self._clock.now().timestamp()) // seconds
        known, used = self._fixed.get((rule, caller), (window, 0))
        used = used + 1 if known == window else 1
        allowed = used <= limit
        self._fixed[rule, caller] = (window, min(used, limit))
        return Standing(allowed, limit, min(used, limit), (window + 1) * seconds)

    def sliding(self, rule: str, caller: str, own: int, seconds: int) -> Standing:
        """Counts one request in the last `seconds`; a refused one does not count."""
        limit = self.limit(rule, own)
        now = self._clock.now().timestamp()
        seen = self._sliding[rule, caller]
        while seen and seen[0] <= now - seconds:
            seen.popleft()
        allowed = len(seen) < limit
        if allowed:
            seen.append(now)
        oldest = seen[0] if seen else now
        return Standing(allowed, limit, len(seen), int(oldest + seconds) + 1)
