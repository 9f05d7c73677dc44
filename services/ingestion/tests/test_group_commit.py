"""Commits that requests share, and what happens to them when the database does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.database import connect, create_engine
from libs.chassis.errors import Unavailable
from libs.chassis.provision import ServiceUrls
from libs.eventlog.notify import Notifier
from libs.testing.databases import DatabaseOf, clone
from libs.testing.servers import PostgresServer
from libs.testing.serving import until
from services.ingestion import group_commit
from services.ingestion.group_commit import Appender, Delivery
from services.ingestion.tests.support import query
from services.ingestion.tests.test_append import item

CONNECT = """
INSERT INTO account_routes
VALUES ('x', '1', gen_random_uuid(), gen_random_uuid(), false, true, now(), 1, 1)
"""


@pytest.fixture
async def urls(database_of: DatabaseOf) -> ServiceUrls:
    urls = database_of("ingestion")
    await query(urls.worker, CONNECT)
    return urls


@pytest.fixture
async def appender_on() -> AsyncIterator[Callable[[ServiceUrls], Appender]]:
    """`appender_on(urls)`: an appender that is closed when the test ends."""
    made: list[tuple[Appender, Notifier, AsyncEngine]] = []

    def make(urls: ServiceUrls) -> Appender:
        engine = create_engine(urls.worker, name="test")
        notifier = Notifier(engine)
        connection = partial(connect, urls.worker, name="test append")
        made.append((Appender(engine, notifier, connection), notifier, engine))
        return made[-1][0]

    yield make
    for appender, notifier, engine in made:
        await appender.close()
        await notifier.close()
        await engine.dispose()


@pytest.fixture
def appender(urls: ServiceUrls, appender_on: Callable[[ServiceUrls], Appender]) -> Appender:
    return appender_on(urls)


@asynccontextmanager
async def held_up(urls: ServiceUrls) -> AsyncIterator[None]:
    """No append can finish inside the block."""
    async with await psycopg.AsyncConnection.connect(urls.owner) as connection:
        await connection.execute("LOCK TABLE event_keys IN EXCLUSIVE MODE")
        yield


def _busy(lane: group_commit._Lane) -> bool:
    return lane._connection is not None


async def occupy(appender: Appender) -> list[asyncio.Task[None]]:
    """Both lanes in a statement, with the items -1 and -2."""
    tasks = []
    for number, lane in enumerate(reversed(appender._lanes), start=1):
        tasks.append(asyncio.create_task(appender.submit(Delivery([item(-number)]))))
        await until(partial(_busy, lane))
    return tasks


async def outcomes(*work: Awaitable[None]) -> list[BaseException | None]:
    return await asyncio.gather(*work, return_exceptions=True)


async def test_requests_that_come_during_a_commit_share_the_next(
    appender: Appender, urls: ServiceUrls
) -> None:
    async with held_up(urls):
        tasks = await occupy(appender)
        tasks += [asyncio.create_task(appender.submit(Delivery([item(n)]))) for n in range(1, 101)]
        await until(lambda: len(appender._waiting) == 100)
        assert not any(task.done() for task in tasks)
    await asyncio.gather(*tasks)
    [row] = await query(
        urls.worker, "SELECT count(*) AS rows, count(DISTINCT xid) AS commits FROM events"
    )
    assert row == {"rows": 102, "commits": 3}


async def test_nothing_is_answered_before_it_is_committed(
    appender: Appender, urls: ServiceUrls
) -> None:
    await asyncio.gather(*(_submit_and_look(appender, urls, number) for number in range(20)))


async def _submit_and_look(appender: Appender, urls: ServiceUrls, number: int) -> None:
    await appender.submit(Delivery([item(number)]))
    assert await query(urls.worker, "SELECT id FROM events WHERE id = %s", item(number).id)


async def test_one_that_cannot_be_stored_goes_aside_without_the_others(
    appender: Appender, urls: ServiceUrls
) -> None:
    poison = item(1, payload=rb'{"n": "\u0000"}')
    async with held_up(urls):
        tasks = await occupy(appender)
        tasks += [
            asyncio.create_task(appender.submit(Delivery(items)))
            for items in ([item(2)], [poison, item(3)], [item(4)])
        ]
        await until(lambda: len(appender._waiting) == 3)
    await asyncio.gather(*tasks)
    rows = await query(urls.worker, "SELECT payload ->> 'n' AS n FROM events ORDER BY 1")
    assert [row["n"] for row in rows] == ["-1", "-2", "2", "4"]
    aside = await query(urls.worker, "SELECT id, reason FROM quarantine")
    assert {row["id"] for row in aside} == {poison.id, item(3).id}
    assert {row["reason"] for row in aside} == {"not-storable"}


async def test_a_request_that_is_given_up_leaves_the_others_alone(
    appender: Appender, urls: ServiceUrls
) -> None:
    async with held_up(urls):
        tasks = [asyncio.create_task(appender.submit(Delivery([item(n)]))) for n in range(3)]
        await until(lambda: any(lane._connection for lane in appender._lanes))
        tasks[0].cancel()
        tasks[1].cancel()
    assert await outcomes(tasks[2]) == [None]
    await until(lambda: not appender._waiting)
    rows = await query(urls.worker, "SELECT id FROM events")
    assert item(2).id in {row["id"] for row in rows}


async def test_too_much_waiting_is_refused_at_once(
    appender: Appender, urls: ServiceUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_QUEUE_BYTES", 100)
    async with held_up(urls):
        tasks = await occupy(appender)
        tasks.append(asyncio.create_task(appender.submit(Delivery([item(1)]))))
        await until(lambda: appender._waiting)
        with pytest.raises(Unavailable):
            await appender.submit(Delivery([item(2, payload=b'{"n": "%s"}' % (b"x" * 100))]))
    await asyncio.gather(*tasks)
    await appender.submit(Delivery([item(3)]))


async def test_a_restarted_server_costs_no_request(
    fresh_postgres: PostgresServer, appender_on: Callable[[ServiceUrls], Appender]
) -> None:
    urls = await asyncio.to_thread(clone, fresh_postgres.url, "ingestion", {})
    await query(urls.worker, CONNECT)
    appender = appender_on(urls)
    await appender.submit(Delivery([item(1)]))
    await asyncio.to_thread(fresh_postgres.stop)
    await asyncio.to_thread(fresh_postgres.start)
    await appender.submit(Delivery([item(2)]))
    assert len(await query(urls.worker, "SELECT id FROM events")) == 2


async def test_a_server_that_is_down_is_said_to_be_so(
    fresh_postgres: PostgresServer, appender_on: Callable[[ServiceUrls], Appender]
) -> None:
    urls = await asyncio.to_thread(clone, fresh_postgres.url, "ingestion", {})
    appender = appender_on(urls)
    await asyncio.to_thread(fresh_postgres.kill)
    started = time.monotonic()
    done = await outcomes(*(appender.submit(Delivery([item(n)])) for n in range(20)))
    assert {type(error) for error in done} == {Unavailable}
    assert time.monotonic() - started < 5.5


@pytest.mark.parametrize("connected", [True, False], ids=["in a statement", "while connecting"])
async def test_a_stopped_server_answers_within_the_deadline_and_loses_nothing(
    fresh_postgres: PostgresServer, appender_on: Callable[[ServiceUrls], Appender], connected: bool
) -> None:
    urls = await asyncio.to_thread(clone, fresh_postgres.url, "ingestion", {})
    await query(urls.worker, CONNECT)
    appender = appender_on(urls)
    if connected:
        await appender.submit(Delivery([item(0)]))
    await asyncio.to_thread(fresh_postgres.pause)
    started = time.monotonic()
    done = await outcomes(*(appender.submit(Delivery([item(n)])) for n in range(1, 50)))
    assert {type(error) for error in done} == {Unavailable}
    assert time.monotonic() - started < 5.5
    await asyncio.to_thread(fresh_postgres.resume)

    # As a platform does: again, until it is taken.
    async def again(number: int) -> None:
        async def taken() -> bool:
            return await outcomes(appender.submit(Delivery([item(number)]))) == [None]

        await until(taken, timeout=30)

    await asyncio.gather(*(again(number) for number in range(50)))
    rows = await query(urls.worker, "SELECT id FROM events")
    assert sorted(row["id"] for row in rows) == sorted(item(number).id for number in range(50))
