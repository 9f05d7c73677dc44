"""Monthly partitions on a real PostgreSQL, under the roles of a service."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone
from uuid import uuid4

import psycopg
import pytest
from prometheus_client import REGISTRY
from psycopg import errors as pg
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.database import create_engine
from libs.chassis.partitions import (
    ensure_partitions,
    keep_partitions,
    month_of,
    monthly_v1,
    months_ahead,
    strays,
)
from libs.chassis.provision import ServiceUrls, provision
from libs.chassis.schema import grant
from libs.testing.clock import FakeClock
from libs.testing.servers import Postgres
from libs.testing.serving import until

# Far enough back that no partition made ahead by the migration covers it.
MARCH = date(2020, 3, 1)
IN_MARCH = datetime(2020, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)


@pytest.fixture
def urls(postgres: Postgres) -> ServiceUrls:
    """A database with one partitioned table, `readings`."""
    passwords = dict.fromkeys(("owner", "app", "worker"), "s3cret")
    urls = provision(postgres.url, "weather", passwords, database=f"weather_{uuid4().hex}")
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        for statement in [
            """
            CREATE TABLE readings (
              position bigint GENERATED ALWAYS AS IDENTITY,
              id uuid NOT NULL,
              taken_at timestamptz NOT NULL,
              PRIMARY KEY (id, taken_at)
            ) PARTITION BY RANGE (taken_at)
            """,
            *monthly_v1("readings", "taken_at", service="weather"),
            *grant("readings", service="weather", app="SELECT", worker="SELECT, INSERT"),
        ]:
            owner.execute(statement)
    return urls


@pytest.fixture
async def worker(urls: ServiceUrls) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(urls.worker, name="weather worker")
    yield engine
    await engine.dispose()


async def _insert(worker: AsyncEngine, moment: datetime) -> None:
    async with worker.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO readings (id, taken_at) VALUES (%(id)s, %(moment)s)",
            {"id": uuid4(), "moment": moment},
        )


async def _places(worker: AsyncEngine) -> list[tuple[str, int]]:
    async with worker.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT tableoid::regclass::text, position FROM readings ORDER BY position"
        )
        return [tuple(row) for row in rows]


async def _ensure(worker: AsyncEngine, *months: date) -> list[date]:
    async with worker.begin() as connection:
        return await ensure_partitions(connection, "readings", months)


def test_a_month_is_that_of_utc() -> None:
    moment = datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert month_of(moment) == date(2025, 12, 1)


def test_months_ahead_cross_the_year() -> None:
    assert months_ahead(datetime(2026, 11, 30, tzinfo=UTC), 2) == [
        date(2026, 11, 1),
        date(2026, 12, 1),
        date(2027, 1, 1),
    ]


async def test_the_migration_makes_this_month_and_three_more(worker: AsyncEngine) -> None:
    now = datetime.now(UTC)
    await _insert(worker, now)
    await _insert(worker, datetime.combine(months_ahead(now)[-1], datetime.min.time(), UTC))
    assert [name for name, _ in await _places(worker)] == [
        f"readings_{month:%Y_%m}" for month in (months_ahead(now)[0], months_ahead(now)[-1])
    ]


async def test_a_missing_month_takes_its_rows_out_of_the_default(worker: AsyncEngine) -> None:
    await _insert(worker, IN_MARCH)
    await _insert(worker, IN_MARCH + timedelta(microseconds=1))
    before = await _places(worker)
    assert {name for name, _ in before} == {"readings_default"}

    assert await _ensure(worker, MARCH) == [MARCH]

    # Positions stay, so a reader of the log sees neither a loss nor a new row.
    assert await _places(worker) == [
        ("readings_2020_03", before[0][1]),
        ("readings_default", before[1][1]),
    ]
    async with worker.connect() as connection:
        assert await strays(connection, "readings") == 1


async def test_ensuring_again_does_nothing(worker: AsyncEngine) -> None:
    assert await _ensure(worker, MARCH, MARCH) == [MARCH]
    assert await _ensure(worker, MARCH) == []


async def test_ten_at_once_make_a_month_once(worker: AsyncEngine) -> None:
    made = await asyncio.gather(*(_ensure(worker, MARCH) for _ in range(10)))
    assert sorted(made, key=len) == [[]] * 9 + [[MARCH]]


async def test_appends_go_on_while_a_month_is_being_made(worker: AsyncEngine) -> None:
    async with worker.begin() as connection:
        await ensure_partitions(connection, "readings", [MARCH])
        await asyncio.wait_for(_insert(worker, datetime.now(UTC)), 5)


async def test_absurd_months_stay_in_the_default(worker: AsyncEngine) -> None:
    assert await _ensure(worker, date(1970, 1, 1), date(9999, 12, 1)) == []


async def test_a_day_that_is_not_the_first_is_refused(worker: AsyncEngine) -> None:
    with pytest.raises(Exception, match="first day"):
        await _ensure(worker, date(2020, 3, 2))


async def test_the_keeper_makes_months_and_reports_strays(worker: AsyncEngine) -> None:
    clock = FakeClock(datetime(2020, 3, 15, tzinfo=UTC))

    def reported() -> float | None:
        return REGISTRY.get_sample_value("rookery_default_partition_rows", {"table": "readings"})

    await _insert(worker, datetime(1999, 1, 1, tzinfo=UTC))
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_partitions(worker, "readings", clock)(stop))
    await until(lambda: reported() == 1)
    stop.set()
    await keeping
    assert await _ensure(worker, *months_ahead(clock.now())) == []


@pytest.mark.parametrize("role", ["app", "worker"])
def test_no_working_role_reaches_a_partition_directly(urls: ServiceUrls, role: str) -> None:
    with psycopg.connect(getattr(urls, role), autocommit=True) as connection:
        for statement in (
            "SELECT * FROM readings_default",
            "DROP TABLE readings_default",
            "CREATE TABLE readings_2020_05 PARTITION OF readings DEFAULT",
        ):
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(statement)


def test_requests_cannot_make_partitions(urls: ServiceUrls) -> None:
    with psycopg.connect(urls.app) as app, pytest.raises(pg.InsufficientPrivilege):
        app.execute("SELECT readings_ensure_month('2020-03-01')")
