"""The stack's folder."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from deploy.local.home import ROOT, Home, write_private
from libs.testing.servers import ServerError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "rookery")


def test_secrets_are_made_once_and_are_private(home: Home) -> None:
    with home.locked():
        first = home.secret("one")
        assert home.secret("two") != first
        assert Home(home.folder).secret("one") == first
    assert (home.folder / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_second_stack_is_refused_and_told_of_the_first(home: Home) -> None:
    with home.locked():
        told = rf"already running .*pid {os.getpid()}.*starting"
        with pytest.raises(ServerError, match=told), Home(home.folder).locked():
            pass
        write_private(home.status, {"gateway": "http://127.0.0.1:1"})
        told = r"gateway is http://127.0.0.1:1\."
        with pytest.raises(ServerError, match=told), Home(home.folder).locked():
            pass
        with pytest.raises(ServerError, match="already running"):
            Home(home.folder).reset()


def test_it_knows_whether_the_last_run_ended_in_order(home: Home) -> None:
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from deploy.local.home import Home
        with Home(Path(sys.argv[1])).locked():
            if sys.argv[2] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
    """)
    for how, code, left in (("kill", -signal.SIGKILL, True), ("end", 0, False)):
        done = subprocess.run(
            [sys.executable, "-c", script, str(home.folder), how], cwd=ROOT, check=False
        )
        assert done.returncode == code
        again = Home(home.folder)
        with again.locked():
            assert again.was_left_running == left


def test_data_of_another_layout_is_refused_with_the_command_that_mends_it(home: Home) -> None:
    with home.locked():
        home.check_layout()
        home.check_layout()
        (home.folder / "layout").write_text("0\n")
        with pytest.raises(ServerError, match=r"layout 0, .*make reset"):
            home.check_layout()


def test_data_without_a_layout_is_refused(home: Home) -> None:
    home.postgres.mkdir(parents=True)
    with pytest.raises(ServerError, match="unknown layout"):
        home.check_layout()


def test_reset_removes_all_but_what_was_fetched(home: Home) -> None:
    with home.locked():
        home.check_layout()
        home.secret("one")
    (home.folder / "kafka").mkdir()
    (home.folder / "postgres").mkdir()
    (home.folder / "postgres" / "PG_VERSION").write_text("18")
    home.reset()
    assert {path.name for path in home.folder.iterdir()} == {"kafka", "lock"}


def test_what_scripts_read_is_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "local.json"
    for number in (1, 2):
        write_private(path, {"n": number})
        assert json.loads(path.read_text()) == {"n": number}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
