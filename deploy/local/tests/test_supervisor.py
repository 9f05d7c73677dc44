"""Real child processes started, lost, started again and stopped."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.supervisor import RESTARTS, Part, Stopped, Supervisor
from libs.testing.servers import ServerError, ServerProcess

FOREVER = "import signal; signal.pause()"


def _part(tmp: Path, name: str, code: str, *, level: int = 1) -> Part:
    process = ServerProcess(name, tmp / f"{name}.log")

    def start() -> None:
        process.start([sys.executable, "-c", code])

    return Part(name, level, process, start, lambda: process.alive, process.stop)


def _when(condition: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Act once, as soon as the condition holds, beside the supervisor."""

    def wait() -> None:
        while not condition():
            threading.Event().wait(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_stops_every_part_higher_levels_first(tmp_path: Path) -> None:
    order = tmp_path / "order"
    dying = (
        "import pathlib, signal, sys\n"
        "def end(*_):\n"
        f"    with open({str(order)!r}, 'a') as file: file.write(sys.argv[0] and NAME + ' ')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\n"
        "while True: signal.pause()\n"
    )
    supervisor = Supervisor()
    parts = [_part(tmp_path, n, f"NAME = {n!r}\n{dying}", level=i) for i, n in enumerate("abc")]
    for part in parts:
        log = part.process.log
        part.ready = lambda log=log: log.exists() and "up" in log.read_text()  # type: ignore[misc]
    with supervisor.running():
        for part in parts:
            supervisor.start(part)
        supervisor.wait_ready()
        _interrupt()
        with pytest.raises(Stopped):
            supervisor.watch()
    assert order.read_text() == "c b a "
    assert not any(part.process.alive for part in parts)


def test_a_killed_part_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    supervisor = Supervisor()
    part = _part(tmp_path, "audit", FOREVER)
    again: list[int] = []
    part.again = lambda: again.append(part.process.pid)
    with supervisor.running():
        supervisor.start(part)
        supervisor.wait_ready()
        first = part.process.pid
        os.kill(first, signal.SIGKILL)
        thread = _when(lambda: bool(again), _interrupt)
        with pytest.raises(Stopped):
            supervisor.watch()
    thread.join()
    assert again != [first]
    said = capsys.readouterr().out
    assert "audit was killed by SIGKILL" in said
    assert "audit.log" in said
    assert "audit is back" in said


def test_a_part_that_keeps_dying_ends_the_stack_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervisor, "pause", lambda self, seconds: self.check())
    supervisor = Supervisor()
    part = _part(tmp_path, "audit", "print('no room'); raise SystemExit(3)")
    other = _part(tmp_path, "identity", FOREVER)
    with supervisor.running():
        supervisor.start(other)
        supervisor.start(part)
        with pytest.raises(ServerError) as caught:
            supervisor.watch()
    assert f"audit ended with exit code 3, after {RESTARTS} restarts" in str(caught.value)
    assert "no room" in str(caught.value)
    assert not other.process.alive


def test_a_part_that_dies_at_once_ends_the_start(tmp_path: Path) -> None:
    supervisor = Supervisor()
    part = _part(tmp_path, "audit", "raise SystemExit('DATABASE_URL is not set')")
    part.ready = lambda: False
    told = r"(?s)exit code 1.*DATABASE_URL is not set.*audit\.log"
    with supervisor.running():
        supervisor.start(part)
        with pytest.raises(ServerError, match=told):
            supervisor.wait_ready()
