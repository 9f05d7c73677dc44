"""Ends the servers of an owner that is gone, however it went (also by SIGKILL).

Run as a script in a session of its own. The owner writes one line an order to standard input:
`watch PID SIGNAL`, `forget PID`, `folder PATH` (temporary, to be removed), `keep PATH`. When the
owner dies the pipe closes: each watched process gets its signal, and SIGKILL five seconds later.
A pipe does this on every Unix; a parent-death signal is Linux's alone and follows the thread that
started the child, not the process.
"""

import contextlib
import shutil
import signal
import sys
import time

import psutil  # type: ignore[import-untyped]

GRACE_SECONDS = 5.0


def main() -> None:
    """Obey orders until standard input closes, then end what is still watched."""
    watched: dict[int, tuple[psutil.Process, int]] = {}
    folders: set[str] = set()
    for line in sys.stdin:
        verb, _, rest = line.strip().partition(" ")
        if verb == "watch":
            pid, number = (int(word) for word in rest.split())
            with contextlib.suppress(psutil.NoSuchProcess):
                watched[pid] = (psutil.Process(pid), number)
        elif verb == "forget":
            watched.pop(int(rest), None)
        elif verb == "folder":
            folders.add(rest)
        elif verb == "keep":
            folders.discard(rest)
    _end(list(watched.values()))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _end(watched: list[tuple[psutil.Process, int]]) -> None:
    everyone: list[psutil.Process] = []
    for process, number in watched:
        with contextlib.suppress(psutil.Error):
            everyone += [process, *process.children(recursive=True)]
            process.send_signal(number)
    for process in everyone:  # a paused one would not hear its signal
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGCONT)
    for process in still_alive(everyone, timeout=GRACE_SECONDS):
        with contextlib.suppress(psutil.Error):
            process.kill()


def still_alive(processes: list[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Those of `processes` that have not ended after at most `timeout` s.

    An orphan that nobody has reaped counts as ended: a container's first process may never do it.
    """
    deadline = time.monotonic() + timeout
    while left := [process for process in processes if not _ended(process)]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.02)
    return []


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


if __name__ == "__main__":
    main()
