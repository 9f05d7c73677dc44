"""How much of a log is not relayed yet."""

from __future__ import annotations

import psycopg

from libs.contracts.envelope import Cursor
from libs.eventlog.relay.metrics import LAG
from libs.eventlog.source import Row, Source

_COUNTED = 100_000


async def observe_backlog(
    connection: psycopg.AsyncConnection[Row], source: Source, cursor: Cursor
) -> None:
    """Export how many rows are behind the cursor, those behind the horizon included.

    Looks at 100,000 entries of an index at most.
    """
    row = await (
        await connection.execute(
            f"SELECT count(*) AS rows FROM (SELECT FROM {source.table}"
            f" WHERE (xid, position) > (%s::text::xid8, %s) LIMIT {_COUNTED}) AS behind",
            [str(cursor.xid), cursor.position],
        )
    ).fetchone()
    LAG.labels(source.name).set(row.rows if row else 0)
