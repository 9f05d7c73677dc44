"""What the tests do to the server: events, and waiting until they are in the archive."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import namedtuple_row

from deploy.backup import streaming, witness
from libs.testing.servers import PostgresServer
from libs.testing.serving import until

_INSERT = """
INSERT INTO events (id, stream, version, type, data, metadata, occurred_at)
VALUES (%s, %s, %s, 'spine.counted.v1', %s, '{}', now())
"""


@dataclass
class Writer:
    """Appends events that count up, each acknowledged by a commit of its own."""

    url: str
    people: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(5)])
    _numbers: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))

    def write(self, count: int) -> set[UUID]:
        """`count` more for each person; gives their ids, all of them committed."""
        ids = set()
        with psycopg.connect(self.url, autocommit=True) as connection:
            for _ in range(count):
                for who in self.people:
                    self._numbers[who] += 1
                    number, event = self._numbers[who], uuid4()
                    data = f'{{"who": "{who}", "number": {number}}}'
                    connection.execute(_INSERT, [event, f"who-{who}", number, data])
                    ids.add(event)
        return ids

    def forget_after(self, url: str) -> None:
        """Count on from what the log at `url` holds."""
        self._numbers.clear()
        for row in rows(url, "SELECT (data->>'who')::uuid AS who, count(*) FROM events GROUP BY 1"):
            self._numbers[row.who] = row.count


def rows(url: str, statement: str) -> list[Any]:
    """What a query gives."""
    with psycopg.connect(url, row_factory=namedtuple_row) as connection:
        return list(connection.execute(statement.encode()).fetchall())


def ids(url: str) -> set[UUID]:
    """Of all events in the log."""
    return {row.id for row in rows(url, "SELECT id FROM events")}


def told(url: str) -> dict[UUID, list[int]]:
    """What the log says that `tally` must hold: each person's numbers in order."""
    found: dict[UUID, list[int]] = defaultdict(list)
    for row in rows(
        url,
        "SELECT (data->>'who')::uuid AS who, (data->>'number')::int AS number"
        " FROM events ORDER BY xid, position",
    ):
        found[row.who].append(row.number)
    return dict(found)


def tallied(url: str) -> dict[UUID, list[int]]:
    """What `tally` holds."""
    return {row.who: row.numbers for row in rows(url, "SELECT who, numbers FROM tally")}


def beat(live: PostgresServer) -> datetime:
    """Write a beat; gives its moment, by the server's clock."""
    with psycopg.connect(live.url, autocommit=True) as connection:
        return witness.beat(connection).moment


async def received(live: PostgresServer) -> None:
    """Wait until all that is committed now is in the archive's hands."""
    with psycopg.connect(live.url, autocommit=True) as connection:
        [here] = witness.one_row(
            connection, "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint"
        )

        def arrived() -> bool:
            written = streaming.look(connection).written
            return written is not None and written >= here

        await until(arrived, timeout=60, what="the log received")
