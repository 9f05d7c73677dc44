"""What the live server writes down about itself, to be compared after a restore.

A beat is a row with the moment and the snapshot it was written under: every transaction the
snapshot shows had committed before, so a restored server that has the beat must have them all. A
manifest adds, once a day, how many rows each log had in such a snapshot, and their hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

BEAT_SECONDS = 10.0
KEPT_DAYS = 40

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Beat:
    """A moment of the live server (its clock) and the snapshot of that moment."""

    moment: datetime
    snapshot: str


@dataclass(frozen=True)
class Content:
    """What a log holds: the number of its rows, and a sum over them that knows no order."""

    rows: int
    hash: int


_TABLES = """
CREATE SCHEMA IF NOT EXISTS rookery_backup;
CREATE TABLE IF NOT EXISTS rookery_backup.beats (
  moment timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
  snapshot pg_snapshot NOT NULL DEFAULT pg_current_snapshot()
);
CREATE TABLE IF NOT EXISTS rookery_backup.manifests (
  moment timestamptz NOT NULL,
  snapshot pg_snapshot NOT NULL,
  database text NOT NULL,
  log text NOT NULL,
  rows bigint NOT NULL,
  hash numeric NOT NULL,
  PRIMARY KEY (moment, database, log)
);
"""


def make_tables(connection: Connection, role: str) -> None:
    """Make the two tables in the connection's database and let `role` write them. Idempotent."""
    connection.execute(_TABLES)
    connection.execute(
        sql.SQL(
            "GRANT USAGE ON SCHEMA rookery_backup TO {role};"
            "GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA rookery_backup TO {role}"
        ).format(role=sql.Identifier(role))
    )


def beat(connection: Connection) -> Beat:
    """Write a beat, committed (the connection is in autocommit mode)."""
    return Beat(
        *one_row(
            connection,
            "INSERT INTO rookery_backup.beats DEFAULT VALUES RETURNING moment, snapshot::text",
        )
    )


def forget_old(connection: Connection) -> None:
    """Drop what is older than any backup."""
    for table in ("beats", "manifests"):
        connection.execute(
            f"DELETE FROM rookery_backup.{table}"
            f" WHERE moment < now() - interval '{KEPT_DAYS} days'".encode()
        )


def last_beat(connection: Connection) -> Beat | None:
    """The newest one."""
    row = connection.execute(
        "SELECT moment, snapshot::text FROM rookery_backup.beats ORDER BY moment DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Beat(*row)


def beat_after(connection: Connection, moment: datetime) -> Beat | None:
    """The first one whose snapshot was taken after `moment`."""
    row = connection.execute(
        "SELECT moment, snapshot::text FROM rookery_backup.beats WHERE moment > %s"
        " ORDER BY moment LIMIT 1",
        [moment],
    ).fetchone()
    return None if row is None else Beat(*row)


def has_beat(connection: Connection, wanted: Beat) -> bool:
    """Whether it was written by this server, or by the one it is a copy of."""
    found = connection.execute(
        "SELECT FROM rookery_backup.beats WHERE moment = %s AND snapshot::text = %s",
        [wanted.moment, wanted.snapshot],
    )
    return found.rowcount == 1


def logs(connection: Connection) -> list[str]:
    """The tables of the connection's database that are logs: those with `xid` and `position`."""
    rows = connection.execute(
        """
        SELECT quote_ident(c.relname) FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND NOT c.relispartition
          AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'xid'
                      AND a.atttypid = 'xid8'::regtype)
          AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
                      AND a.attname = 'position' AND a.atttypid = 'bigint'::regtype)
        ORDER BY c.relname
        """
    ).fetchall()
    return [row[0] for row in rows]


def content(connection: Connection, log: str, snapshot: str) -> Content:
    """What of a log a snapshot shows. Reads all of it. Columns that are NULL do not count, so that
    a column added later changes nothing."""
    connection.execute("SET timezone = 'UTC'")
    rows, value = one_row(
        connection,
        "SELECT count(*), coalesce(sum(hashtextextended("
        " jsonb_strip_nulls(to_jsonb(t))::text, 0)::numeric), 0)"
        f" FROM {log} t WHERE pg_visible_in_snapshot(t.xid, %s::pg_snapshot)",
        snapshot,
    )
    return Content(int(rows), int(value))


def one_row(connection: Connection, statement: str, *values: Any) -> tuple[Any, ...]:
    """The one row that a statement gives."""
    [row] = connection.execute(statement.encode(), values).fetchall()
    return tuple(row)
