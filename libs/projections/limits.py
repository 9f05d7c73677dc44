"""How much poison a partition may hold before it stops rather than drops everything."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from libs.projections.batch import LimitReached


@dataclass(frozen=True)
class Limits:
    """Stop after `consecutive` dead letters in a row, or when more than `share` of the last
    `window` messages died. Either way a broken parser cannot empty a topic into the dead letters.
    """

    consecutive: int = 100
    share: float = 0.5
    window: int = 1_000


class PoisonMeter:
    """Counts for one partition. `check` is called with each batch, `accept` once it is committed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._run = 0
        self._window: deque[bool] = deque(maxlen=limits.window)

    def check(self, outcomes: Sequence[tuple[int, bool]]) -> None:
        """Outcomes are (offset, is it poison). Raises LimitReached at the first one too many."""
        if not any(poison for _, poison in outcomes):
            window = self._window.copy()
            window.extend(False for _ in outcomes)
            self._pending = (0 if outcomes else self._run, window)
            return
        run, window, dead = self._run, self._window.copy(), sum(self._window)
        last: int | None = None
        for offset, poison in outcomes:
            if len(window) == window.maxlen:
                dead -= window[0]
            window.append(poison)
            dead += poison
            run = run + 1 if poison else 0
            full = len(window) == window.maxlen
            if poison and (
                run > self._limits.consecutive
                or (full and dead > self._limits.share * self._limits.window)
            ):
                raise LimitReached(last)
            last = offset
        self._pending = (run, window)

    def accept(self) -> None:
        """The checked batch is committed; count it."""
        self._run, self._window = self._pending
