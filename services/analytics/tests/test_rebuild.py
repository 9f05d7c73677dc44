"""Live through the broker equals a rebuild from nothing, row by row."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.provision import ServiceUrls
from libs.contracts.envelope import Envelope
from libs.contracts.event import Event, encode
from libs.contracts.ingestion import AgeRange
from libs.messaging.config import BrokerConfig
from libs.projections.runner import Runner
from libs.testing.serving import until
from libs.testing.topics import Publisher
from services.analytics.projections import (
    accounts,
    audience_insights,
    follower_changes,
    metrics_snapshots,
    top_content,
)
from services.analytics.tests.support import NOW, Connected, apply, received, rows

READERS = (
    metrics_snapshots.READER,
    follower_changes.READER,
    top_content.READER,
    audience_insights.READER,
)
TABLES = [table for reader in READERS for table in reader.tables]
EVENTS = 4_000


def _history(chance: random.Random, known: Sequence[Connected]) -> list[tuple[Connected, Event]]:
    """Events of several accounts, their times jumping back and forth by up to days."""

    def maybe(highest: int) -> int | None:
        return chance.randrange(highest) if chance.random() < 0.8 else None

    events: list[tuple[Connected, Event]] = []
    for step in range(EVENTS):
        account = chance.choice(known)
        late = timedelta(minutes=chance.randrange(3 * 24 * 60))
        moment = NOW - timedelta(days=60) + step * timedelta(minutes=20) - late
        post = f"p{chance.randrange(40)}"
        match chance.randrange(8):
            case 0 | 1:
                events.append(
                    (account, account.metrics(moment, followers_count=maybe(999), reach=maybe(99)))
                )
            case 2:
                totals = {"impressions_total": maybe(9**9), "engagement_total": step * 10}
                events.append(
                    (account, account.metrics(moment, **totals, extra_data={"step": step}))
                )
            case 3:
                events.append(
                    (account, account.gained(moment, f"u{step}", verified=chance.random() < 0.5))
                )
            case 4:
                events.append((account, account.lost(moment, f"u{step}", follower_count=maybe(99))))
            case 5 | 6:
                numbers = {"likes_count": maybe(50), "shares_count": maybe(9), "reach": maybe(500)}
                events.append((account, account.post(moment, post, caption=f"ñ {step}", **numbers)))
            case _:
                parts: dict[str, Any] = {"age_ranges": (AgeRange(range="18-24", count=step),)}
                if chance.random() < 0.5:
                    events.append((account, account.audience(moment, **parts)))
                else:
                    events.append((account, account.deleted(moment, post)))
    return events


class Log:
    """The ingestion log and a relay that repeats itself: what was sent is sent again, further on."""

    def __init__(self, broker: BrokerConfig) -> None:
        self._publisher = Publisher(broker, "ingestion.events")
        self._sent: list[tuple[Envelope, bytes]] = []

    async def send(self, pairs: Sequence[tuple[Envelope, bytes]], *, again: int) -> None:
        """Send the pairs, and then once more the last ones of all that was ever sent."""
        self._sent += pairs
        await self._publisher.send([*pairs, *self._sent[len(self._sent) - again :]])

    def ends(self) -> dict[int, int]:
        """The position of the last event in each partition."""
        last = self._publisher._previous
        return {partition: cursor.position for partition, cursor in last.items()}


def _pair(position: int, event: Event, account: Connected, **more: Any) -> tuple[Envelope, bytes]:
    envelope = received(event, position=position).envelope
    return replace(envelope, stream=f"account-{account.id}", **more), encode(event)


@asynccontextmanager
async def _reading(worker: AsyncEngine, broker: BrokerConfig) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(Runner(reader, engine=worker, broker=broker).run(stop))
        for reader in READERS
    ]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def _reached(worker: AsyncEngine, ends: dict[int, int]) -> None:
    """Wait until every reader has come to the last event of every partition."""

    async def there() -> bool:
        found = await rows(worker, "SELECT reader, partition, position FROM checkpoints")
        places = {(row["reader"], row["partition"]): row["position"] for row in found}
        return all(
            places.get((reader.name, partition)) == position
            for reader in READERS
            for partition, position in ends.items()
        )

    await until(there, timeout=60, what="the end of the topic")


async def _tables(worker: AsyncEngine) -> dict[str, list[dict[str, Any]]]:
    return {
        table: await rows(worker, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in TABLES
    }


async def test_a_live_projection_equals_its_rebuild(
    urls: ServiceUrls, worker: AsyncEngine, broker_config: BrokerConfig
) -> None:
    chance = random.Random(20260302)
    workspaces = [uuid4(), uuid4()]
    known = [
        Connected(workspaces[n % 2], "x" if n % 3 == 0 else "instagram", handle=f"h{n}")
        for n in range(9)
    ]
    await apply(worker, accounts.READER, [account.connected() for account in known])
    pairs = [
        _pair(position, event, account)
        for position, (account, event) in enumerate(_history(chance, known), start=1)
    ]
    forged = known[0].metrics(NOW)
    pairs.append(_pair(EVENTS + 1, forged, known[0], workspace_id=uuid4()))
    log = Log(broker_config)

    async with _reading(worker, broker_config):
        for start in range(0, len(pairs), 500):
            await log.send(pairs[start : start + 500], again=chance.randrange(200))
        await _reached(worker, log.ends())
    live = await _tables(worker)
    assert all(len(found) > 30 for found in live.values())
    dead = await rows(worker, "SELECT error, attempts FROM dead_letters")
    assert [(row["error"], row["attempts"]) for row in dead] == [("forged tenant", 1)]

    with psycopg.connect(urls.owner) as owner:
        owner.execute(f"TRUNCATE {', '.join(TABLES)}, checkpoints".encode())
    async with _reading(worker, broker_config):
        await _reached(worker, log.ends())
    rebuilt = await _tables(worker)
    for table in TABLES:
        assert rebuilt[table] == live[table], table
