"""Real servers and services are killed, stopped and emptied while webhooks arrive.

Each time: everything answered 2xx is in the log once (I1), everything in the log is applied once
to every projection (I2), in the order of its stream (I3), at most a minute after the fault (I8).
"""

from __future__ import annotations

import asyncio
import time

import pytest

from harness.drill import Drill, Fault, nothing, rebuilt_alike, run
from harness.installation import Installation, Instance
from harness.ledger import Books
from libs.testing.serving import until

STOPPED_SECONDS = 20.0
# A webhook's own deadline is five seconds; a busy machine may take a little more.
ANSWERED_SECONDS = 8.0
ANALYTICS_PARTITIONS = 36  # six readers of a topic with six partitions


async def shared(first: Instance, second: Instance) -> None:
    """Wait until two instances of analytics share the partitions of all its readers.

    The local broker does not get over a member that leaves while another joins: it keeps the group
    waiting. Apache Kafka does.
    """

    async def settled() -> bool:
        one = await first.metric("rookery_reader_partitions")
        two = await second.metric("rookery_reader_partitions")
        return one > 0 < two and one + two == ANALYTICS_PARTITIONS

    await until(settled, timeout=60, what="the partitions shared")


@pytest.fixture(scope="module")
async def books(installation: Installation) -> Books:
    books = Books(installation)
    await books.open()
    return books


@pytest.fixture
async def drill(installation: Installation, books: Books) -> Drill:
    """Twenty new accounts and a load on them that does not run yet."""
    return await Drill.of(installation, books)


async def postgres_is_killed(drill: Drill) -> None:
    await asyncio.to_thread(drill.installation.postgres.kill)
    await drill.load.refused(20)
    await asyncio.to_thread(drill.installation.postgres.start)


async def postgres_is_killed_again_and_again(drill: Drill) -> None:
    for _ in range(3):
        await postgres_is_killed(drill)
        await drill.load.more(20)


async def broker_is_killed(drill: Drill) -> None:
    await asyncio.to_thread(drill.installation.broker.kill)
    await drill.load.more(100)
    await asyncio.to_thread(drill.installation.broker.start)


async def broker_is_stopped(drill: Drill) -> None:
    drill.installation.broker.pause()
    try:
        await asyncio.sleep(STOPPED_SECONDS)
    finally:
        drill.installation.broker.resume()


async def broker_is_wiped(drill: Drill) -> None:
    await asyncio.to_thread(drill.installation.broker.wipe)


async def ingestion_is_killed(drill: Drill) -> None:
    await asyncio.to_thread(drill.service("ingestion").restart)


async def relay_is_killed_between_acknowledgement_and_cursor(drill: Drill) -> None:
    ingestion = drill.service("ingestion")
    async with drill.installation.holding("ingestion", "relay_cursors"):
        await until(lambda: drill.installation.waiting("ingestion"), what="the relay at its cursor")
        await asyncio.to_thread(ingestion.process.kill)
        await drill.installation.end_waiting("ingestion")
    await asyncio.to_thread(ingestion.restart)


def killed_in_the_middle_of_a_batch(name: str, table: str) -> Fault:
    async def fault(drill: Drill) -> None:
        async with drill.installation.holding(name, table):
            await until(lambda: drill.installation.waiting(name), what=f"{name} in a batch")
            await asyncio.to_thread(drill.service(name).process.kill)
        await asyncio.to_thread(drill.service(name).restart)

    fault.__name__ = f"{name}_is_killed_in_the_middle_of_a_batch"
    return fault


@pytest.mark.parametrize(
    "fault",
    [
        nothing,
        postgres_is_killed,
        postgres_is_killed_again_and_again,
        ingestion_is_killed,
    ],
)
async def test_what_was_accepted_is_neither_lost_nor_doubled_when(
    fault: Fault, drill: Drill
) -> None:
    await run(drill, fault)
    assert drill.load.statuses <= {200, 503, None}


@pytest.mark.parametrize(
    "fault",
    [
        broker_is_killed,
        broker_is_stopped,
        broker_is_wiped,
        killed_in_the_middle_of_a_batch("analytics", "follower_changes"),
        killed_in_the_middle_of_a_batch("audit", "audit_logs"),
    ],
)
async def test_every_webhook_is_accepted_at_once_when(fault: Fault, drill: Drill) -> None:
    await run(drill, fault)
    assert drill.load.statuses == {200}


async def test_webhooks_are_refused_in_time_while_postgres_is_stopped(drill: Drill) -> None:
    load, postgres = drill.load, drill.installation.postgres

    async def postgres_is_stopped(drill: Drill) -> None:
        postgres.pause()
        began = time.monotonic()
        try:
            await asyncio.sleep(STOPPED_SECONDS)
            ended = time.monotonic()
        finally:
            postgres.resume()
        during = [each for each in load.since(began) if each.began + each.seconds < ended]
        assert during
        assert {each.status for each in during} == {503}
        assert max(each.seconds for each in during) < ANSWERED_SECONDS

    await run(drill, postgres_is_stopped)
    assert load.statuses == {200, 503}


async def test_what_a_killed_relay_sends_again_is_applied_once(drill: Drill) -> None:
    audit = drill.service("audit")
    repeats = await audit.metric("rookery_reader_duplicates_total")
    await run(drill, relay_is_killed_between_acknowledgement_and_cursor)
    assert await audit.metric("rookery_reader_duplicates_total") > repeats


async def test_another_relay_takes_over_from_a_killed_one(drill: Drill) -> None:
    first = drill.service("ingestion")

    async def leader_is_killed(drill: Drill) -> None:
        async with drill.second("ingestion", "api") as door, drill.second("ingestion", "relay"):
            drill.load.targets[:] = [door.url]
            await asyncio.to_thread(first.process.kill)
            await drill.load.more(50)
            await drill.all_applied()
            await asyncio.to_thread(first.restart)
            drill.load.targets[:] = [first.url]

    await run(drill, leader_is_killed)


async def test_another_relay_takes_over_from_a_stopped_one_which_is_fenced(drill: Drill) -> None:
    first = drill.service("ingestion")

    async def leader_is_stopped(drill: Drill) -> None:
        async with drill.second("ingestion", "api") as door, drill.second("ingestion", "relay"):
            drill.load.targets[:] = [door.url]
            first.process.pause()
            try:
                await drill.load.more(50)
                await drill.all_applied()
            finally:
                first.process.resume()
            await drill.load.more(50)
            drill.load.targets[:] = [first.url]

    await run(drill, leader_is_stopped)


async def test_another_consumer_takes_over_from_a_stopped_one_which_is_fenced(
    drill: Drill,
) -> None:
    first = drill.service("analytics")

    async def consumer_is_stopped(drill: Drill) -> None:
        async with drill.second("analytics") as second:
            first.process.pause()
            try:
                await drill.load.more(100)
                await drill.all_applied()
            finally:
                first.process.resume()
            await drill.load.more(50)
            await shared(first, second)

    await run(drill, consumer_is_stopped)


async def test_a_consumer_stopped_inside_its_transaction_applies_nothing_twice(
    drill: Drill,
) -> None:
    first, installation = drill.service("analytics"), drill.installation

    async def consumer_is_stopped(drill: Drill) -> None:
        async with installation.holding("analytics", "follower_changes"):
            await until(lambda: installation.waiting("analytics"), what="a batch under way")
            first.process.pause()
        try:
            async with drill.second("analytics") as second:
                # The first holds its rows locked, until PostgreSQL ends its idle transaction.
                await drill.all_applied()
                first.process.resume()
                await drill.load.more(50)
                await shared(first, second)
        finally:
            first.process.resume()

    await run(drill, consumer_is_stopped)


async def test_live_projections_equal_their_rebuild_from_nothing(drill: Drill) -> None:
    await run(drill, nothing)
    await rebuilt_alike(drill)
