"""The stack of `make run`: how long it takes to start, what it costs to have it idle."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.figures import Figure, Series
from benchmarks.local_stack import local_stack

_FIRST_START_SECONDS = 20.0
_IDLE_PERCENT = 15.0
# After a start the relays feed the broker and readers catch up.
_SETTLE_SECONDS = 15.0
_IDLE_SECONDS = 30.0

Say = Callable[[str], None]


class _Seen:
    """What the rounds saw, in the order it was first seen."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, name: str, value: float) -> None:
        self._values.setdefault(name, []).append(value)

    def add_parts(self, name: str, parts: Mapping[str, float]) -> None:
        self.add(name, sum(parts.values()))
        for part, value in sorted(parts.items()):
            self.add(f"{name}, {part}", value)

    def figures(self) -> list[Figure]:
        targets = {"first start": _FIRST_START_SECONDS, "idle CPU": _IDLE_PERCENT}
        return [
            Figure(
                *("stack", name, _unit(name), Series(name, values)),
                better="lower",
                target=targets.get(name),
            )
            for name, values in self._values.items()
        ]


async def measure(rounds: int, say: Say) -> list[Figure]:
    """Each round has a new folder: first start, idle time with everything on, second start."""
    seen = _Seen()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="rookery-bench-") as folder:
            await asyncio.to_thread(_round, Path(folder) / "home", seen, say)
    return seen.figures()


def _round(home: Path, seen: _Seen, say: Say) -> None:
    with local_stack(home, {}) as stack:
        spent = stack.cpu_seconds()
        say(f"first start {stack.seconds:.1f} s, of CPU {sum(spent.values()):.1f} s")
        seen.add("first start", stack.seconds)
        seen.add("CPU of the first start", sum(spent.values()))
        time.sleep(_SETTLE_SECONDS)
        before, started = stack.cpu_seconds(), time.perf_counter()
        time.sleep(_IDLE_SECONDS)
        after, seconds = stack.cpu_seconds(), time.perf_counter() - started
        idle = {name: (after[name] - before[name]) * 100 / seconds for name in after}
        memory = stack.memory()
    with local_stack(home, {}) as stack:
        say(
            f"second start {stack.seconds:.1f} s; idle {sum(idle.values()):.1f} % of a core,"
            f" {sum(memory.values()):.0f} MB"
        )
        seen.add("second start", stack.seconds)
    seen.add_parts("idle CPU", idle)
    seen.add_parts("memory", memory)


def _unit(name: str) -> str:
    if name.startswith("idle CPU"):
        return "% of a core"
    return "MB" if name.startswith("memory") else "s"
