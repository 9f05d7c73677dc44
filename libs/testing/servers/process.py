"""One child process: started, awaited, stopped, killed, paused; its log kept for error messages."""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock

import psutil  # type: ignore[import-untyped]

from libs.testing.servers.guard import still_alive

TAIL_LINES = 15


class ServerError(Exception):
    """A server could not do what was asked; the text says what to do about it."""


class Guard:
    """This process's line to its `guard.py` child, started with the first order."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = Lock()
        self._child: subprocess.Popen[str] | None = None
        self._owner = 0

    def order(self, line: str) -> None:
        """Send one order; see `guard.py` for the words."""
        with self._lock:
            if self._child is None or self._owner != os.getpid():  # a forked copy needs its own
                self._owner = os.getpid()
                self._child = subprocess.Popen(
                    [sys.executable, str(Path(__file__).with_name("guard.py"))],
                    stdin=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
                atexit.register(self._close)
            assert self._child.stdin is not None
            self._child.stdin.write(line + "\n")
            self._child.stdin.flush()

    def _close(self) -> None:
        if self._child is None or self._owner != os.getpid():
            return
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        self._child.wait()


guard = Guard()


class ServerProcess:
    """A child process in a session of its own, ended with its owner whatever happens to that.

    Output goes to `log`, appended. `start` again after `stop` or `kill` is allowed.
    """

    def __init__(self, name: str, log: Path) -> None:
        """`name` is for messages; the folder of `log` is made when missing."""
        self.name = name
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The child's process id. Raises ServerError when it was never started."""
        if self._child is None:
            raise ServerError(f"{self.name} is not started")
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the child runs (a paused one does)."""
        return self._child is not None and self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit status (negative: the signal that ended it), None while it runs."""
        return None if self._child is None else self._child.poll()

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        last_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start the child; returns at once.

        `user` runs it as that system user (root only). `last_signal` is what the guard sends when
        this process dies first.
        """
        if self.alive:
            raise ServerError(f"{self.name} is already running (pid {self.pid})")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._log_start = out.tell()
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                start_new_session=True,
            )
        guard.order(f"watch {self._child.pid} {int(last_signal)}")

    def wait_ready(self, ready: Callable[[], bool], timeout: float) -> None:
        """Block until `ready()`; raises ServerError when the child ends or `timeout` s pass."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.alive:
                self._forget()
                raise ServerError(f"{self.name} {self.how_it_ended()}{self.tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(f"{self.name} was not ready after {timeout:.0f} s{self.tail()}")
            time.sleep(0.02)

    def ask_to_stop(self) -> None:
        """Send SIGTERM and return at once; `stop` waits. Does nothing when the child is down."""
        if self._child is not None and self.alive:
            self._child.send_signal(signal.SIGTERM)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM, timeout: float = 10.0) -> None:
        """Ask the child to end, wait, kill it after `timeout` s. Does nothing when it is down."""
        if self._child is None:
            return
        if self.alive:
            self._child.send_signal(with_signal)
            try:
                self._child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        self._forget()

    def kill(self) -> None:
        """SIGKILL the child and wait until it and its children are gone. Idempotent.

        The grandchildren get no signal at first: how they take the loss is part of the fault.
        """
        if self._child is None:
            return
        tree = self._tree()
        self._child.kill()
        self._child.wait()
        for process in tree[1:]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
        left = still_alive(tree[1:], timeout=10)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        still_alive(left, timeout=10)
        self._forget()

    def pause(self) -> None:
        """SIGSTOP the child and all its children. Idempotent."""
        stopped: set[int] = set()
        # Stopped from the root down, again until no child forked in between is left running.
        while fresh := [p for p in self._tree() if p.pid not in stopped]:
            for process in fresh:
                stopped.add(process.pid)
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT the child and all its children. Idempotent."""
        for process in reversed(self._tree()):
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)

    def how_it_ended(self) -> str:
        """For a message: `ended with exit code 1`, `was killed by SIGKILL`, `is running`."""
        code = self.returncode
        if code is None:
            return "is running" if self.alive else "was never started"
        return f"ended with exit code {code}" if code >= 0 else f"was killed by {_name(-code)}"

    def tail(self, lines: int = TAIL_LINES) -> str:
        """What the child logged last since its start, set off for a message, with the file."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            size = self.log.stat().st_size
            start = self._log_start if self._log_start <= size else 0  # begun anew meanwhile
            file.seek(max(start, size - 100_000))
            text = file.read().decode(errors="replace").rstrip().splitlines()[-lines:]
            if text:
                return "\n" + "\n".join(f"    {line}" for line in text) + f"\n  (log: {self.log})"
        return f" (log: {self.log})"

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _forget(self) -> None:
        if self._child is not None:
            guard.order(f"forget {self._child.pid}")


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Block until `condition()` or until `timeout` s have passed; says which it was."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
