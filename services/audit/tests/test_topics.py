"""From the topics of all services into the trail, through a real broker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from libs.contracts.envelope import Cursor, Envelope, Metadata
from libs.contracts.identity import UserLoggedIn, UserRegistered
from libs.contracts.ingestion import FollowerGained
from libs.messaging.config import BrokerConfig
from libs.projections.runner import Runner
from libs.testing.serving import until
from libs.testing.topics import Publisher
from services.audit.projections import trail
from services.audit.tests.support import NOW, connected, entries


async def test_every_event_of_every_topic_becomes_one_entry(
    worker: AsyncEngine, broker_config: BrokerConfig
) -> None:
    person, account, workspace = uuid4(), uuid4(), uuid4()
    metadata = Metadata(actor_id=person, ip="203.0.113.7", user_agent="curl/8")
    identity = Publisher(broker_config, "identity.events")
    await identity.publish(
        [UserRegistered(user_id=person, email="a@example.org"), UserLoggedIn(user_id=person)],
        stream=f"user-{person}",
        metadata=metadata,
    )
    unknown = Envelope(
        id=uuid4(),
        type="identity.user_dreamt.v1",
        source="/test",
        time=NOW,
        stream=f"user-{person}",
        workspace_id=None,
        cursor=Cursor(100, 3),
    )
    await identity.send([(unknown, b"{}")])
    await Publisher(broker_config, "accounts.events").publish(
        [connected(account, workspace)],
        stream=f"account-{account}",
        workspace_id=workspace,
        metadata=metadata,
    )
    follow = FollowerGained(
        account_id=account,
        workspace_id=workspace,
        platform="x",
        occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
        user_id="9",
        username="ann",
    )
    await Publisher(broker_config, "ingestion.events").publish(
        [follow], stream=f"account-{account}", workspace_id=workspace
    )

    stop = asyncio.Event()
    running = asyncio.create_task(
        Runner(trail.READER, engine=worker, broker=broker_config).run(stop)
    )

    async def dead() -> list[str]:
        async with worker.connect() as connection:
            rows = await connection.exec_driver_sql("SELECT error FROM dead_letters")
            return [row.error for row in rows]

    async def complete() -> bool:
        return len(await entries(worker)) == 4 and len(await dead()) == 1

    try:
        await until(complete, timeout=30, what="the trail")
    finally:
        stop.set()
        await running
    found = {item["action"]: item for item in await entries(worker)}
    assert set(found) == {
        "user.registered",
        "user.logged_in",
        "account.connected",
        "follower.gained",
    }
    assert found["user.logged_in"]["actor_id"] == person
    assert str(found["account.connected"]["ip_address"]) == "203.0.113.7"
    assert found["follower.gained"]["entity_id"] == account
    # An event of a newer release waits among the dead letters until this one knows it.
    assert await dead() == ["no contract for type 'identity.user_dreamt.v1'"]
