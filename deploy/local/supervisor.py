"""Starts the parts in order, keeps them running, stops them in reverse."""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from types import FrameType

from deploy.local.console import Tails, console
from libs.testing.servers import ServerError, ServerProcess

READY_SECONDS = 60.0
RESTARTS = 5
RESTART_WINDOW_SECONDS = 300.0
_LOOK_SECONDS = 0.5


class Stopped(Exception):
    """Somebody asked the stack to stop."""


@dataclass
class Part:
    """One supervised process. `start` may return before `ready` says yes; `stop` waits.

    Parts of one `level` are stopped together, higher levels first. `again` is done after a
    restart, once the part is ready.
    """

    name: str
    level: int
    process: ServerProcess
    start: Callable[[], None]
    ready: Callable[[], bool]
    stop: Callable[[], None]
    again: Callable[[], None] | None = None
    restarts: deque[float] = field(default_factory=deque)


class Supervisor:
    """Keeps parts running until SIGINT, SIGTERM or SIGHUP.

    A part that dies is started again with a growing pause, at most `RESTARTS` times in
    `RESTART_WINDOW_SECONDS`; the next death ends the stack with a ServerError. A part that dies
    before it was ever ready ends it at once.
    """

    def __init__(self) -> None:
        """Start nothing."""
        self._parts: list[Part] = []
        self._tails = Tails()
        self._stop = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Obey signals inside, and stop everything at the end, however it comes."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._asked) for number in numbers}
        try:
            yield
        finally:
            self._stop_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(self, part: Part) -> None:
        """Start `part` without waiting for it to be ready. Raises Stopped, ServerError."""
        self.check()
        self._tails.follow(part.name, part.process.log)
        self._parts.append(part)
        part.start()

    def wait_ready(self) -> None:
        """Wait until every part is. Raises Stopped; ServerError when one dies or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        for part in self._parts:
            while not part.ready():
                self._fail_if_dead(part)
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"{part.name} was not ready after {READY_SECONDS:.0f} s"
                        f"{part.process.tail()}"
                    )
                self.pause(0.1)

    def watch(self) -> None:
        """Keep everything running and print problems. Ends only by Stopped or ServerError."""
        while True:
            self.pause(_LOOK_SECONDS)
            self._tails.look()
            for part in self._parts:
                if not part.process.alive:
                    self._restart(part)

    def pause(self, seconds: float) -> None:
        """Sleep; raises Stopped as soon as somebody asks to stop."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 0.25))

    def check(self) -> None:
        """Raise Stopped when somebody asked to stop."""
        if self._stop:
            raise Stopped

    def _asked(self, number: int, frame: FrameType | None) -> None:
        # Only a flag: an exception here could come between a child's start and its registration.
        if not self._stop:
            console.print("\nStopping (a moment, please)")
        self._stop = True

    def _fail_if_dead(self, part: Part) -> None:
        if not part.process.alive:
            raise ServerError(f"{part.name} {part.process.how_it_ended()}{part.process.tail()}")

    def _restart(self, part: Part) -> None:
        now = time.monotonic()
        ended = f"{part.name} {part.process.how_it_ended()}"
        while part.restarts and now - part.restarts[0] > RESTART_WINDOW_SECONDS:
            part.restarts.popleft()
        if len(part.restarts) >= RESTARTS:
            raise ServerError(
                f"{ended}, after {RESTARTS} restarts: giving up.{part.process.tail()}"
            )
        wait = 0.5 * 2 ** len(part.restarts)
        part.restarts.append(now)
        console.print(
            f"[bold red]{ended}[/]; starting it again in {wait:g} s "
            f"[dim](restart {len(part.restarts)} of {RESTARTS}; log: {part.process.log})[/]"
        )
        self.pause(wait)
        try:
            part.start()
            deadline = time.monotonic() + READY_SECONDS
            while not part.ready() and part.process.alive and time.monotonic() < deadline:
                self.pause(0.1)
            if part.again and part.process.alive:
                part.again()
        except ServerError as error:  # counted: the next look finds it dead
            console.print(f"[red]{error}[/]", markup=True)
            return
        if part.process.alive:
            console.print(f"[green]{part.name} is back[/]")

    def _stop_all(self) -> None:
        self._parts.sort(key=lambda part: part.level)
        for _, level in groupby(reversed(self._parts), key=lambda part: part.level):
            together = list(level)
            for part in together:
                part.process.ask_to_stop()
            for part in together:
                part.stop()
        self._parts.clear()
