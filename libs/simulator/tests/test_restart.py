"""What survives a restart, and the command that starts the simulator."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import httpx

from libs.simulator.tests.conftest import Stands
from libs.simulator.tests.support import SetClock, bearing, until


async def test_tokens_people_and_rotations_survive_a_restart(
    stands: Stands, tmp_path: Path
) -> None:
    state = tmp_path / "deep" / "simulator.json"
    clock = SetClock()
    async with stands(clock, state=state) as stand:
        await stand.person("x", "newcomer", followers=77)
        first = await stand.connect("x", "newcomer")
        form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        basic = httpx.BasicAuth("x-client", "x-client-secret")
        second = (await stand.http.post("/x-api/2/oauth2/token", data=form, auth=basic)).json()
    assert state.stat().st_mode & 0o777 == 0o600
    async with stands(clock, state=state) as stand:
        me = await stand.http.get("/x-api/2/users/me", headers=bearing(second["access_token"]))
        assert me.json()["data"]["username"] == "newcomer"
        again = await stand.http.post("/x-api/2/oauth2/token", data=form, auth=basic)
        assert again.status_code == 400
        assert len((await stand.http.get("/_control/people")).json()) == 5


async def test_counts_do_not_fall_with_a_restart(stands: Stands, tmp_path: Path) -> None:
    clock = SetClock()
    state = tmp_path / "state.json"
    async with stands(clock, state=state) as stand:
        await stand.control("emit", platform="x", event="follow.follow", count=40)
        before = (await stand.person("x"))["followers_now"]
    async with stands(clock, state=state) as stand:
        assert (await stand.person("x"))["followers_now"] == before


async def test_event_ids_are_new_after_a_restart(stands: Stands) -> None:
    clock = SetClock()
    seen: set[str] = set()
    for _ in range(3):
        async with stands(clock) as stand:
            made = await stand.control("generate", platform="x", count=20)
            fresh = {item["dedupe"].lstrip("-") for one in made for item in one["items"]}
            assert not fresh & seen
            seen |= fresh
        clock.advance(seconds=1)


async def test_the_command_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "libs.simulator", "--port", "0", "--drip", "0"),
            env={**os.environ, "SIMULATOR_STATE": str(tmp_path / "state.json")},
            stdout=out,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        await until(lambda: "http://" in log.read_text())
        url = log.read_text().split()[-1]
        async with httpx.AsyncClient(base_url=url) as http:
            people = (await http.get("/_control/people")).json()
        assert {one["platform"] for one in people} == {"instagram", "tiktok", "linkedin", "x"}
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() in (0, -signal.SIGTERM)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert json.loads((tmp_path / "state.json").read_text())["people"]


async def test_the_command_says_when_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "libs.simulator", "--port", str(taken.getsockname()[1])),
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await process.communicate()
    assert process.returncode == 1
    assert b"cannot listen on 127.0.0.1:" in told
