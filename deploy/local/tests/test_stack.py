"""The local stack as a person runs it: one command, real parts, real signals."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from deploy.local.home import ROOT
from libs.testing.servers.guard import still_alive
from libs.testing.servers.process import wait_until

PLATFORMS = {"instagram", "tiktok", "linkedin", "x"}
READY_SECONDS = 90  # on a machine that is busy with other things


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not tmp_path: see libs/testing/fixtures.py.
    path = Path(tempfile.mkdtemp(prefix="rookery-stack-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _command(folder: Path, *words: str, **env: str) -> dict[str, Any]:
    return {
        "args": [sys.executable, "-m", "deploy.local", *words],
        "cwd": ROOT,
        "env": {**os.environ, "ROOKERY_HOME": str(folder), "ROOKERY_PORTS": "free", **env},
        "text": True,
    }


def _said(folder: Path, *words: str, **env: str) -> tuple[int, str]:
    """A run that ends by itself."""
    done = subprocess.run(
        **_command(folder, *words, **env), capture_output=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


@contextmanager
def _up(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A running stack and its local.json; interrupted at the end unless it is gone by then."""
    status = folder / "local.json"
    with (folder.parent / f"{folder.name}.out").open("w+") as out:
        stack = subprocess.Popen(
            **_command(folder, "up"), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            up = wait_until(lambda: _runs(status, stack) or stack.poll() is not None, READY_SECONDS)
            out.seek(0)
            assert up, out.read()
            assert stack.poll() is None, out.read()
            yield stack, json.loads(status.read_text())
        finally:
            if stack.poll() is None:
                stack.send_signal(signal.SIGINT)
            stack.wait(30)
            Path(out.name).unlink()


def test_it_runs_recovers_and_keeps_its_data(folder: Path) -> None:
    with _up(folder) as (stack, first):
        assert (folder / "local.json").stat().st_mode & 0o777 == 0o600
        assert httpx.get(first["gateway"] + "/nowhere").status_code == 404
        for url in first["services"].values():
            assert httpx.get(url + "/readyz").status_code == 200
        assert _platforms_with_charts(first) == PLATFORMS

        code, said = _said(folder, "up")
        assert code == 1
        assert f"already running in {folder} (pid {stack.pid})" in said
        assert first["gateway"] in said

        everyone = psutil.Process(stack.pid).children(recursive=True)
        broker = next(process for process in everyone if process.name() == "tansu")
        broker.kill()
        port = int(first["kafka"].rsplit(":", 1)[1])
        assert wait_until(lambda: not broker.is_running() and _listens(port), 30)
    assert stack.returncode == 0
    assert not still_alive(everyone, timeout=0)
    assert not (folder / "local.json").exists()

    with _up(folder) as (stack, second):
        assert second["demo"] == first["demo"]
        assert _platforms_with_charts(second) == PLATFORMS
        everyone = psutil.Process(stack.pid).children(recursive=True)
        stack.kill()
        stack.wait()
        assert not still_alive(everyone, timeout=10)

    with _up(folder) as (stack, third):  # after a kill, without waiting
        assert third["demo"] == first["demo"]
    assert stack.returncode == 0


def test_a_busy_port_is_named_with_its_setting(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = _said(folder, "up", ROOKERY_PORTS="", ROOKERY_GATEWAY_PORT=port)
    assert code == 1
    assert f"Port {port} (gateway) is busy" in said
    assert "ROOKERY_GATEWAY_PORT=" in said


def test_data_of_another_postgres_is_refused_and_reset_mends_it(folder: Path) -> None:
    (folder / "postgres").mkdir(exist_ok=True)
    (folder / "layout").write_text("1\n")
    (folder / "postgres" / "PG_VERSION").write_text("9\n")
    code, said = _said(folder, "up")
    assert code == 1
    assert "made by PostgreSQL 9" in said
    assert "make reset" in said
    assert _said(folder, "reset")[0] == 0
    assert {path.name for path in folder.iterdir()} <= {"kafka", "lock"}


def _platforms_with_charts(status: dict[str, Any]) -> set[str]:
    """Platforms of the demo's accounts whose daily metrics go back almost ninety days."""
    login = {name: status["demo"][name] for name in ("email", "password")}
    since = (datetime.now(UTC) - timedelta(days=95)).isoformat()
    with httpx.Client(base_url=status["gateway"]) as http:
        token = http.post("/v1/auth/login", json=login).json()["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        base = f"/v1/workspaces/{status['demo']['workspace_id']}/accounts"

        def days(account: str) -> int:
            query = {"interval": "day", "since": since}
            answer = http.get(f"{base}/{account}/metrics", params=query)
            assert answer.status_code == 200, answer.text
            items = answer.json()["items"]
            return sum(item["followers_count"] is not None for item in items)

        accounts = http.get(base).json()["items"]
        return {
            account["platform"]
            for account in accounts
            if wait_until(lambda account=account: days(account["id"]) >= 85, 30)  # type: ignore[misc]
        }


def _runs(status: Path, stack: subprocess.Popen[str]) -> bool:
    """Whether local.json is there, and not that of a stack that was killed."""
    try:
        return bool(json.loads(status.read_text())["pid"] == stack.pid)
    except FileNotFoundError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0
