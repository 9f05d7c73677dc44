"""Which lines of the logs reach the terminal."""

import json
from pathlib import Path

import pytest

from deploy.local import console


def _entry(level: str, event: str, **more: str) -> str:
    return json.dumps({"level": level, "event": event, "timestamp": "t", **more}) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "identity.log"


def test_only_problems_that_are_new_are_shown(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(_entry("error", "old"))
    tails = console.Tails()
    tails.follow("identity", log)
    with log.open("a") as file:
        file.write(_entry("info", "request"))
        file.write(_entry("error", "database [error]", sqlstate="08006"))
        file.write("2026-01-01 12:00:00.000 UTC [7] FATAL:  out of memory\n")
        file.write("2026-01-01 12:00:00.000 UTC [7] LOG:  ready\n")
        file.write("[2026-01-01 12:00:00.000][7][critical][main] bad config\n")
        file.write(_entry("error", "half a line").rstrip())
    tails.look()
    shown = capsys.readouterr().out
    assert "identity database [error] sqlstate=08006" in shown
    assert "out of memory" in shown
    assert "bad config" in shown
    for quiet in ("old", "request", "ready", "half a line"):
        assert quiet not in shown
    with log.open("a") as file:
        file.write("\n")
    tails.look()
    assert "half a line" in capsys.readouterr().out


def test_a_flood_is_cut_short(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tails = console.Tails()
    tails.follow("identity", log)
    log.write_text("".join(_entry("error", f"problem {n}") for n in range(100)))
    tails.look()
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 6
    assert "95 more in" in shown[-1]


def test_an_overlong_log_begins_anew(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_LOG_LIMIT", 1000)
    tails = console.Tails()
    tails.follow("identity", log)
    with log.open("a") as writer:
        writer.write("x" * 2000 + "\n")
        writer.flush()
        tails.look()
        writer.write("more\n")
        writer.flush()
        tails.look()
    assert log.read_text() == "more\n"
    assert len(log.with_name("identity.log.1").read_text()) == 2001
