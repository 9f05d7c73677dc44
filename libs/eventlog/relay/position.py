"""Where a relay stands, kept in PostgreSQL under a compare-and-set that is the relay's fence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg.types.json import Jsonb

from libs.contracts.envelope import Cursor
from libs.eventlog.source import Row


class Deposed(Exception):
    """Another relay moved the cursor; this one stops leading."""


@dataclass(frozen=True)
class Position:
    """Where a relay stands: its cursor, the broker it fed, and per partition the end and cursor."""

    cursor: Cursor
    cluster_id: str | None
    ends: Mapping[int, int]
    last: Mapping[int, Cursor]


async def load(connection: psycopg.AsyncConnection[Row], relay: str) -> Position:
    """The relay's position, at the beginning for a new one."""
    await connection.execute(
        "INSERT INTO relay_cursors (relay) VALUES (%s) ON CONFLICT DO NOTHING", [relay]
    )
    row = await (
        await connection.execute(
            "SELECT xid, position, cluster_id, partitions FROM relay_cursors WHERE relay = %s",
            [relay],
        )
    ).fetchone()
    if row is None:
        raise Deposed
    return Position(
        Cursor(row.xid, row.position),
        row.cluster_id,
        {int(number): state["end"] for number, state in row.partitions.items()},
        {int(number): Cursor.parse(state["last"]) for number, state in row.partitions.items()},
    )


async def save(
    connection: psycopg.AsyncConnection[Row], relay: str, old: Cursor, new: Position
) -> None:
    """Move from `old` to `new`. Raises Deposed when the relay does not stand at `old`."""
    partitions = {
        str(number): {"end": new.ends.get(number, 0), "last": str(cursor)}
        for number, cursor in new.last.items()
    }
    saved = await connection.execute(
        "UPDATE relay_cursors SET xid = %s, position = %s, cluster_id = %s, partitions = %s,"
        " updated_at = now() WHERE relay = %s AND xid = %s AND position = %s",
        [*new.cursor, new.cluster_id, Jsonb(partitions), relay, *old],
    )
    if saved.rowcount != 1:
        raise Deposed
