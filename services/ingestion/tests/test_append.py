"""The appending statement on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.contracts.accounts import PlatformName
from libs.testing.databases import DatabaseOf
from services.ingestion.append import Appended, Item, append, event_id
from services.ingestion.tests.support import query

NOW = datetime.now(UTC)


def item(number: int, user: str = "1", platform: PlatformName = "x", **more: object) -> Item:
    fields = {
        "id": event_id(platform, user, ["event", str(number)]),
        "platform": platform,
        "platform_user_id": user,
        "type": "follow.follow",
        "payload": b'{"n": %d}' % number,
        "metadata": "{}",
        "received_at": NOW,
    }
    return Item(**{**fields, **more})  # type: ignore[arg-type]


@pytest.fixture
async def worker(database_of: DatabaseOf, engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    """The worker role's engine; user 1 of X is connected, user 2 was."""
    urls = database_of("ingestion")
    for user, active in (("1", True), ("2", False)):
        await query(
            urls.worker,
            "INSERT INTO account_routes VALUES ('x', %s, %s, %s, false, %s, now(), 1, 1)",
            user,
            uuid4(),
            uuid4(),
            active,
        )
    return engine_of(urls.worker)


async def put(worker: AsyncEngine, *items: Item) -> Appended:
    async with worker.begin() as connection:
        return await append(connection, items)


async def numbers(worker: AsyncEngine) -> list[int]:
    """What the log holds, in its order."""
    async with worker.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT (payload ->> 'n')::int AS n FROM events ORDER BY xid, position"
        )
        return [row.n for row in rows]


async def test_order_is_that_of_the_items(worker: AsyncEngine) -> None:
    order = random.Random(7).sample(range(500), 500)
    appended = await put(worker, *(item(number) for number in order))
    assert (appended.written, appended.duplicates, appended.unrouted) == (500, 0, [])
    assert await numbers(worker) == order


async def test_a_repeat_is_counted_and_changes_nothing(worker: AsyncEngine) -> None:
    await put(worker, item(1))
    appended = await put(worker, item(1, payload=b'{"n": 99}'), item(2), item(2), item(1))
    assert (appended.written, appended.duplicates) == (1, 3)
    assert await numbers(worker) == [1, 2]


async def test_items_without_a_connected_account_come_back(worker: AsyncEngine) -> None:
    appended = await put(worker, item(1, "1"), item(2, "2"), item(3, "3"), item(3, "3"))
    assert appended.written == 1
    assert appended.duplicates == 0
    assert {(left.platform_user_id, why) for left, why in appended.unrouted} == {
        ("2", "account-disconnected"),
        ("3", "unknown-account"),
    }


async def test_some_items_are_written_even_for_a_disconnected_account(worker: AsyncEngine) -> None:
    appended = await put(
        worker, item(1, "2", even_disconnected=True), item(2, "3", even_disconnected=True)
    )
    assert appended.written == 1
    assert [why for _, why in appended.unrouted] == ["unknown-account"]


async def test_what_is_rolled_back_can_be_appended_again(worker: AsyncEngine) -> None:
    async with worker.connect() as connection:
        await append(connection, [item(1)])
        await connection.rollback()
    assert (await put(worker, item(1))).written == 1


async def test_opposite_orders_at_once_neither_deadlock_nor_double(worker: AsyncEngine) -> None:
    items = [item(number) for number in range(300)]
    done = await asyncio.gather(
        *(put(worker, *(items if turn % 2 else items[::-1])) for turn in range(8))
    )
    assert sum(appended.written for appended in done) == 300
    assert sorted(await numbers(worker)) == list(range(300))


async def test_a_row_of_an_unknown_month_is_not_lost(worker: AsyncEngine) -> None:
    await put(worker, item(1, received_at=datetime(2007, 5, 5, tzinfo=UTC)))
    assert await numbers(worker) == [1]
    async with worker.connect() as connection:
        stray = await connection.exec_driver_sql("SELECT events_strays()")
        assert stray.scalar_one() == 1


def test_ids_are_version_8_and_stay_for_ever() -> None:
    made = event_id("x", "1", ["event", "-42"])
    assert (made.version, made.variant) == (8, "specified in RFC 4122")
    # In rows for good: another value here means that every old webhook could be replayed.
    assert made == UUID("f0aed1bc-3bb7-8667-820f-f6351b3bd3ef")


parts = st.lists(st.text(max_size=20), max_size=4)


@given(one=parts, other=parts)
def test_ids_are_equal_just_for_equal_keys(one: list[str], other: list[str]) -> None:
    assert (event_id("x", "1", one) == event_id("x", "1", other)) == (one == other)
    assert event_id("x", "1", one) != event_id("tiktok", "1", one)
    assert event_id("x", "1", ["2", *one]) != event_id("x", "12", one)
