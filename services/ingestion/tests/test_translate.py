"""From rows of the log to events on the topic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.contracts.envelope import Cursor, Envelope, Metadata, cursor_to_header, from_headers
from libs.contracts.event import Event, decode
from libs.contracts.identity import MemberAdded
from libs.contracts.ingestion import CommentReceived, FollowerGained
from libs.eventlog.source import Source, Untold
from libs.messaging.config import BrokerConfig
from libs.platforms.tests.support import platforms
from libs.testing.databases import DatabaseOf
from libs.testing.identity import People
from libs.testing.serving import until
from libs.testing.topics import Publisher
from services.ingestion.tests.conftest import Start
from services.ingestion.tests.support import (
    Account,
    Running,
    comment,
    connected,
    instagram,
    x_follow,
)
from services.ingestion.translate import source


@pytest.fixture
def log() -> Source:
    return source(platforms())


def row(type_: str, payload: dict[str, Any]) -> SimpleNamespace:
    """A row as the relay reads it."""
    event, workspace, account = uuid4(), uuid4(), uuid4()
    return SimpleNamespace(
        id=event,
        id_text=str(event),
        workspace_id=workspace,
        workspace_text=str(workspace),
        social_account_id=account,
        stream=f"account-{account}",
        platform="instagram",
        type=type_,
        payload=orjson.dumps(payload).decode(),
        metadata='{"correlation_id": "c", "traceparent": "t"}',
        received_at=datetime(2026, 3, 2, tzinfo=UTC),
    )


def test_a_row_becomes_its_platform_s_translation(log: Source) -> None:
    comments = row("comments", {"entry_id": "1", "time": 1767225600, **comment(7)})
    message = log.to_message(comments)
    assert message is not None
    assert message.key == f"account-{comments.social_account_id}".encode()
    assert message.timestamp_ms == comments.received_at.timestamp() * 1000
    placed = [*message.headers, cursor_to_header(Cursor(5, 6), Cursor(3, 4))]
    assert from_headers(placed) == Envelope(
        id=comments.id,
        type="ingestion.comment_received.v1",
        source="/ingestion",
        time=comments.received_at,
        stream=f"account-{comments.social_account_id}",
        workspace_id=comments.workspace_id,
        cursor=Cursor(5, 6),
        previous=Cursor(3, 4),
        metadata=Metadata(correlation_id="c", traceparent="t"),
    )
    event = decode("ingestion.comment_received.v1", message.value or b"")
    assert isinstance(event, CommentReceived)
    assert event.comment_id == "c7"
    assert event.account_id == comments.social_account_id
    assert event.workspace_id == comments.workspace_id
    assert event.occurred_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "unreadable", [row("no_such_field", {}), row("comments", {"value": {"text": "no id"}})]
)
def test_a_row_that_cannot_be_understood_is_untold_without_its_content(
    log: Source, unreadable: SimpleNamespace
) -> None:
    with pytest.raises(Untold) as untold:
        log.to_message(unreadable)
    assert "no id" not in str(untold.value)


@asynccontextmanager
async def working(running: Running) -> AsyncIterator[None]:
    """The relay and the readers of the service at work."""
    stop = asyncio.Event()
    assert running.service.relay is not None
    parts = [running.service.relay.run, *(runner.run for runner in running.service.runners)]
    tasks = [asyncio.ensure_future(part(stop)) for part in parts]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)


async def told(broker: BrokerConfig, count: int) -> list[tuple[Envelope, Event]]:
    """The first `count` messages of ingestion's topic."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        name = f"{broker.prefix}ingestion.events"
        consumer.assign([TopicPartition(name, number) for number in range(broker.partitions)])
        messages: list[Any] = []
        async with asyncio.timeout(30):
            while len(messages) < count:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    messages += batch
    finally:
        await consumer.stop()
    envelopes = [from_headers(message.headers) for message in messages]
    assert {message.key.decode() for message in messages} == {one.stream for one in envelopes}
    return [
        (envelope, decode(envelope.type, message.value))
        for envelope, message in zip(envelopes, messages, strict=True)
    ]


async def test_a_signed_webhook_of_an_account_connected_elsewhere_reaches_the_topic(
    start: Start, database_of: DatabaseOf, broker_config: BrokerConfig, people: People
) -> None:
    """accounts.events makes the account known, identity.events the reader; the webhook follows."""
    account = Account(uuid4(), uuid4(), "instagram", "1")
    on_x = Account(uuid4(), account.workspace_id, "x", "2")
    accounts = Publisher(broker_config, "accounts.events")
    for one in (account, on_x):
        await accounts.publish(
            [connected(one)], stream=f"account-{one.id}", workspace_id=one.workspace_id
        )
    member = MemberAdded(
        member_id=uuid4(), workspace_id=account.workspace_id, user_id=uuid4(), role="analyst"
    )
    await Publisher(broker_config, "identity.events").publish(
        [member], stream=f"workspace-{member.workspace_id}", workspace_id=member.workspace_id
    )
    async with (
        start(database_of("ingestion"), broker=broker_config) as running,
        working(running),
    ):

        async def known() -> bool:
            routes = await running.rows("SELECT 1 FROM account_routes")
            return len(routes) == 2 and bool(await running.rows("SELECT 1 FROM members"))

        await until(known, timeout=30)
        await running.send("instagram", instagram(("1", [comment(1), comment(2)])))
        await running.send("x", x_follow("2", 1))
        await running.send("instagram", instagram(("1", [{"field": "unheard_of", "value": 1}])))
        messages = await told(broker_config, 3)

        kinds = sorted(type(event).__name__ for _, event in messages)
        assert kinds == ["CommentReceived", "CommentReceived", "FollowerGained"]
        of_instagram = [event for _, event in messages if isinstance(event, CommentReceived)]
        assert [event.comment_id for event in of_instagram] == ["c1", "c2"]
        [follow] = [event for _, event in messages if isinstance(event, FollowerGained)]
        assert follow.username == "follower1"
        assert {envelope.workspace_id for envelope, _ in messages} == {account.workspace_id}
        ids = {row["id"] for row in await running.events()}
        assert {envelope.id for envelope, _ in messages} < ids

        async def untold() -> list[dict[str, Any]]:
            return await running.rows("SELECT * FROM dead_letters")

        [letter] = await until(untold)
        assert letter["event_id"] in ids

        listed = await running.http.get(
            f"{running.url}/v1/workspaces/{account.workspace_id}/events",
            headers=people.bearer(member.user_id),
        )
        assert len(listed.json()["items"]) == 4
