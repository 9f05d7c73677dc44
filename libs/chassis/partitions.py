"""Tables partitioned by month: made ahead of time, with a default that raises an alert.

The migration creates the parent (`PARTITION BY RANGE (column)`, a timestamptz) and runs
`monthly_v1`. Months begin in UTC. The worker role owns nothing, so the month is made by a function
of the owner's; partitions have no grants and are reached through their parent only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, date, datetime
from typing import Any

import structlog
from prometheus_client import Gauge
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.chassis.clock import Clock

log = structlog.get_logger(__name__)
AHEAD = 3
_DAY_SECONDS = 86_400.0
_RETRY_SECONDS = 60.0
_STRAYS = Gauge(
    "rookery_default_partition_rows",
    "Rows in a default partition: their month was missing, or their time is absurd (counted to 10000)",
    ["table"],
)


def monthly_v1(table: str, column: str, *, service: str) -> list[str]:
    """Statements for `table`: its default partition, this month and three more, two functions.

    `<table>_ensure_month(date) -> boolean` makes the partition of that month (its first day) and
    moves into it what the default holds of that month; false when it is there already, or when
    the month is before 2005 or over two years ahead: such rows stay in the default.
    `<table>_strays() -> bigint` counts the default's rows, at most 10000. Only the worker may call
    them.
    """
    ensure, strays = f"{table}_ensure_month(date)", f"{table}_strays()"
    return [
        f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT",
        f"ALTER TABLE {table}_default ENABLE ROW LEVEL SECURITY",
        _ensure_month(table, column),
        f"""
        CREATE FUNCTION {strays} RETURNS bigint
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
        RETURN (SELECT count(*) FROM (SELECT 1 FROM {table}_default LIMIT 10000) AS few)
        """,
        f"REVOKE ALL ON FUNCTION {ensure}, {strays} FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {ensure}, {strays} TO {service}_worker",
        f"""
        SELECT {table}_ensure_month((date_trunc('month', now() AT TIME ZONE 'UTC')
          + ahead * interval '1 month')::date)
        FROM generate_series(0, {AHEAD}) AS ahead
        """,
    ]


def _ensure_month(table: str, column: str) -> str:
    # Attached rather than created in place: that needs no exclusive lock on the parent, so appends
    # go on. The lock it needs anyway, taken first, lets one make the month and the others see it
    # (an advisory lock would not refresh what they have cached of the catalogue). Row-level security without a policy shows nothing to a role that is granted a
    # partition by mistake; it is not forced, because the owner moves the default's rows.
    return f"""
    CREATE FUNCTION {table}_ensure_month(month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
    DECLARE
      part text := format('{table}_%s', to_char(month, 'YYYY_MM'));
      lower timestamptz := month;
      upper timestamptz := month + interval '1 month';
    BEGIN
      IF month <> date_trunc('month', month) THEN
        RAISE EXCEPTION 'a month is named by its first day' USING ERRCODE = '22023';
      END IF;
      IF month < date '2005-01-01' OR month > now() + interval '2 years'
          OR to_regclass(part) IS NOT NULL THEN
        RETURN false;
      END IF;
      LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE;
      IF to_regclass(part) IS NOT NULL THEN  -- another made it while we waited
        RETURN false;
      END IF;
      EXECUTE format('CREATE TABLE %I (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS'
        ' INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION)', part);
      EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', part);
      LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE;
      EXECUTE format('WITH moved AS (DELETE FROM {table}_default'
        ' WHERE {column} >= %L AND {column} < %L RETURNING *)'
        ' INSERT INTO %I SELECT * FROM moved', lower, upper, part);
      EXECUTE format('ALTER TABLE {table} ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        part, lower, upper);
      RETURN true;
    END $$
    """


def month_of(moment: datetime) -> date:
    """The first day of the month, in UTC, that holds an aware `moment`."""
    return moment.astimezone(UTC).date().replace(day=1)


def months_ahead(moment: datetime, ahead: int = AHEAD) -> list[date]:
    """The month of `moment` and the `ahead` following ones."""
    first = month_of(moment)
    months = [first.year * 12 + first.month - 1 + step for step in range(ahead + 1)]
    return [date(month // 12, month % 12 + 1, 1) for month in months]


async def ensure_partitions(
    connection: AsyncConnection, table: str, months: Iterable[date]
) -> list[date]:
    """Make the partitions of `months` (first days) that are missing; gives those it made.

    Idempotent, also against another at the same moment; one cheap query when all are there. Call
    it before the transaction has written to `table`. Takes the worker role.
    """
    rows = await connection.exec_driver_sql(
        f"SELECT month FROM unnest(%(months)b::date[]) AS month WHERE {table}_ensure_month(month)",
        {"months": sorted(set(months))},
    )
    return [row.month for row in rows]


async def strays(connection: AsyncConnection, table: str) -> int:
    """How many rows the default partition of `table` holds, counted up to 10000."""
    rows = await connection.exec_driver_sql(f"SELECT {table}_strays()")
    return int(rows.scalar_one())


def keep_partitions(
    engine: AsyncEngine, table: str, clock: Clock
) -> Callable[[asyncio.Event], Coroutine[Any, Any, None]]:
    """A worker for `Service.workers`: at start and daily, makes this month and three more.

    Reports the default partition's rows as a metric, and any at all as an error in the log. Keeps
    trying each minute while the database is away. `engine` is the worker role's.
    """

    async def keep(stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with engine.begin() as connection:
                    made = await ensure_partitions(connection, table, months_ahead(clock.now()))
                    stray = await strays(connection, table)
            except (sa.SQLAlchemyError, OSError) as error:
                log.warning("partitions not checked", table=table, error=type(error).__name__)
                pause = _RETRY_SECONDS
            else:
                pause = _DAY_SECONDS
                _STRAYS.labels(table).set(stray)
                if made:
                    log.info("partitions made", table=table, months=[str(month) for month in made])
                if stray:
                    log.error("rows in the default partition", table=table, rows=stray)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    return keep
