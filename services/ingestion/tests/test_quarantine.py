"""Quarantine and release."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg

from libs.testing.serving import until
from services.ingestion.quarantine import release
from services.ingestion.tests.support import Running, comment, instagram, x_follow


async def released(running: Running) -> int:
    async with running.worker.begin() as connection:
        return await release(connection, running.clock.now())


async def test_what_waits_is_appended_once_the_account_is_known(running: Running) -> None:
    await running.send("instagram", instagram(("1", [comment(1), comment(2)])))
    came = running.clock.now()
    running.clock.advance(timedelta(hours=3))
    assert await released(running) == 0
    account = await running.connect("instagram", "1")
    assert await released(running) == 2
    rows = await running.events()
    assert sorted(row["payload"]["value"]["id"] for row in rows) == ["c1", "c2"]
    assert {row["social_account_id"] for row in rows} == {account.id}
    assert {row["received_at"] for row in rows} == {came}
    assert all(set(row["metadata"]) == {"correlation_id", "traceparent"} for row in rows)
    assert {row["released_at"] for row in await running.quarantine()} == {running.clock.now()}
    assert await released(running) == 0


async def test_a_redelivery_after_the_release_is_a_repeat(running: Running) -> None:
    body = instagram(("1", [comment(1)]))
    await running.send("instagram", body)
    await running.connect("instagram", "1")
    await running.send("instagram", body)  # known now, and not released yet
    await released(running)
    await running.send("instagram", body)
    assert len(await running.events()) == 1


async def test_only_the_known_account_is_released(running: Running) -> None:
    await running.send("instagram", instagram(("1", [comment(1)]), ("2", [comment(2)])))
    await running.send("instagram", b"poison")
    await running.connect("instagram", "2")
    assert await released(running) == 1
    assert [row["payload"]["entry_id"] for row in await running.events()] == ["2"]


async def test_what_came_while_disconnected_stays_out_when_it_is_connected_again(
    running: Running,
) -> None:
    account = await running.connect("x", "1")
    await running.disconnect(account)
    await running.send("x", x_follow("1", 1))
    running.clock.advance(timedelta(days=1))
    await running.connect("x", "1", account=account)
    assert await released(running) == 1
    assert await running.events() == []
    [row] = await running.quarantine()
    assert (row["reason"], row["released_at"]) == ("while-disconnected", None)
    assert await released(running) == 0


async def test_what_came_after_the_reconnection_and_before_its_route_is_appended(
    running: Running,
) -> None:
    account = await running.connect("x", "1")
    await running.disconnect(account)
    connected_at = running.clock.now()
    running.clock.advance(timedelta(seconds=5))
    await running.send("x", x_follow("1", 1))
    running.clock.advance(connected_at - running.clock.now())  # the event is of then
    await running.connect("x", "1", account=account)
    assert await released(running) == 1
    assert len(await running.events()) == 1


async def test_two_releasers_take_different_rows(running: Running) -> None:
    changes = [comment(number) for number in range(800)]
    await running.send("instagram", instagram(("1", changes)))
    await running.connect("instagram", "1")
    while sum(await asyncio.gather(released(running), released(running))):
        pass
    assert len(await running.events()) == 800


async def test_the_worker_finds_what_the_route_missed_by_a_moment(running: Running) -> None:
    """A webhook looks for the route, then the route comes, then the webhook is set aside."""
    stop = asyncio.Event()
    worker = asyncio.ensure_future(running.service.workers["releases"](stop))
    async with await psycopg.AsyncConnection.connect(running.urls.owner) as late:
        # Holds back the quarantining insert of the webhook below until the route is there.
        await late.execute("LOCK TABLE quarantine IN SHARE ROW EXCLUSIVE MODE")
        sending = asyncio.create_task(running.send("x", x_follow("1", 1)))

        async def waits() -> bool:
            rows = await running.rows("SELECT 1 FROM pg_locks WHERE NOT granted")
            return bool(rows)

        await until(waits)
        await running.connect("x", "1")
        assert not sending.done()
        await late.rollback()
    assert (await sending).status_code == 200

    async def appended() -> bool:
        return bool(await running.events())

    await until(appended)
    stop.set()
    await worker
