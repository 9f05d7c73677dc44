"""Gauges that say how many rows wait in a table."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import Gauge
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.chassis.clock import Clock
from libs.chassis.errors import is_unavailable

log = structlog.get_logger(__name__)
COUNT_SECONDS = 15.0


@dataclass(frozen=True)
class Tally:
    """A gauge and the query that fills it.

    A row of the query is the gauge's labels in their order, then its value; what has no row has no
    sample. The query may use `%(now)s`, must be bounded in what it reads, and must have an index.
    """

    gauge: Gauge
    query: str


DEAD_LETTERS = Tally(
    Gauge(
        "rookery_reader_dead_letters_open",
        "Dead letters that nobody has dealt with, counted up to 10000",
        ["reader"],
    ),
    """
    SELECT reader, count(*)
    FROM (SELECT reader FROM dead_letters WHERE status = 'dead' LIMIT 10000) AS d GROUP BY reader
    """,
)


async def count(connection: AsyncConnection, tallies: Sequence[Tally], clock: Clock) -> None:
    """Set the gauges once. Takes a transaction of the worker role."""
    for tally in tallies:
        rows = await connection.exec_driver_sql(tally.query, {"now": clock.now()})
        found = rows.all()
        tally.gauge.clear()
        for row in found:
            tally.gauge.labels(*row[:-1]).set(float(row[-1]))


def keep_counting(
    engine: AsyncEngine, tallies: Sequence[Tally], clock: Clock
) -> Callable[[asyncio.Event], Coroutine[Any, Any, None]]:
    """A worker for `Service.workers` that sets the gauges every 15 seconds.

    Every process of a service shows the same numbers, so queries take their maximum. `engine` is
    the worker role's.
    """

    async def keep(stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with engine.begin() as connection:
                    await count(connection, tallies, clock)
            except (sa.SQLAlchemyError, OSError) as error:
                if not is_unavailable(error):
                    raise
                log.warning("rows not counted", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), COUNT_SECONDS)

    return keep
