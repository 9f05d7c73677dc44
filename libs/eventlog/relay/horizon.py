"""The order of a log rests on transaction ids: two ways in which they can hold a relay up."""

from __future__ import annotations

import psycopg
import structlog

from libs.eventlog.relay.metrics import HORIZON_AGE
from libs.eventlog.source import Row, Source

log = structlog.get_logger(__name__)
_LONG_SECONDS = 10


class FutureTransactions(Exception):
    """The log holds transaction ids that this server has not reached."""

    def __init__(self, table: str, xid: int, epoch: int) -> None:
        super().__init__(
            f"{table} holds transaction id {xid}, which this PostgreSQL has not reached: the log was"
            " restored into a younger cluster. New events would sort before old ones, so nothing is"
            " relayed. Stop PostgreSQL, run 'pg_resetwal --epoch="
            f"{epoch} -D <its data folder>', start it again."
        )


async def refuse_the_future(connection: psycopg.AsyncConnection[Row], source: Source) -> None:
    """Raise FutureTransactions if the newest row is of a transaction that is still to come."""
    row = await (
        await connection.execute(
            "SELECT e.xid::text::bigint AS newest, e.xid >= pg_snapshot_xmax(pg_current_snapshot())"
            f" AS ahead FROM {source.table} e ORDER BY e.xid DESC LIMIT 1"
        )
    ).fetchone()
    if row is not None and row.ahead:
        raise FutureTransactions(source.table, row.newest, (row.newest >> 32) + 1)


async def observe_horizon(connection: psycopg.AsyncConnection[Row], relay: str) -> None:
    """Export how long the oldest writer has been open, and name it when it is long."""
    row = await (
        await connection.execute(
            "SELECT pid, application_name,"
            " extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age"
            " FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
            " ORDER BY age(backend_xid) DESC LIMIT 1"
        )
    ).fetchone()
    age = 0.0 if row is None or row.age is None else row.age
    HORIZON_AGE.labels(relay).set(age)
    if row is not None and age > _LONG_SECONDS:
        log.warning(
            "a long transaction holds the relay back",
            relay=relay,
            seconds=round(age),
            pid=row.pid,
            session=row.application_name,
        )
