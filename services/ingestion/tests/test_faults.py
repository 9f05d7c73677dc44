"""PostgreSQL is taken away while webhooks arrive; what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx
import pytest

from libs.testing.databases import clone
from libs.testing.servers import PostgresServer
from libs.testing.serving import until
from services.ingestion.tests.conftest import Start
from services.ingestion.tests.support import Running, x_follow

DEADLINE = 5.0


class Load:
    """Sends one follow after the other, each as often as it takes, and keeps what it was told."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.acknowledged: set[str] = set()
        self.refused = 0
        self.slowest = 0.0
        self.enough = asyncio.Event()

    async def send(self, sender: int) -> None:
        number = 0
        while not self.enough.is_set():
            await self._until_taken(f"{sender}-{number}")
            number += 1

    async def _until_taken(self, event: str) -> None:
        body = x_follow("1", event)
        while True:
            began = time.monotonic()
            answer = await self.running.send("x", body)
            self.slowest = max(self.slowest, time.monotonic() - began)
            if answer.status_code == httpx.codes.OK:
                self.acknowledged.add(event)
                return
            assert answer.status_code == 503, answer.text
            assert answer.json()["type"] == "urn:rookery:problem:unavailable"
            self.refused += 1
            await asyncio.sleep(0.1)


def kill_and_restart(server: PostgresServer) -> None:
    server.kill()
    time.sleep(1)
    server.start()


def stop_and_resume(server: PostgresServer) -> None:
    server.pause()
    time.sleep(6)
    server.resume()


@pytest.mark.parametrize("fault", [kill_and_restart, stop_and_resume])
async def test_what_was_acknowledged_is_in_the_log_once(
    start: Start,
    fresh_postgres: PostgresServer,
    fault: Callable[[PostgresServer], None],
) -> None:
    urls = await asyncio.to_thread(clone, fresh_postgres.url, "ingestion", {})
    async with start(urls) as running:
        await running.connect("x", "1")
        load = Load(running)
        senders = [asyncio.create_task(load.send(sender)) for sender in range(20)]
        await until(lambda: len(load.acknowledged) > 200)
        await asyncio.to_thread(fault, fresh_postgres)
        before = len(load.acknowledged)
        await until(lambda: len(load.acknowledged) > before + 200, timeout=60)
        load.enough.set()
        await asyncio.gather(*senders)
        assert load.refused
        assert load.slowest < DEADLINE + 1.5
        rows = await running.events()
        logged = [row["payload"]["event_uuid"] for row in rows]
        assert len(logged) == len(set(logged))
        assert set(logged) == load.acknowledged
        assert await running.quarantine() == []
