"""Reading a log in commit order and telling what its rows mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
import structlog

from libs.contracts.envelope import BEGINNING, Cursor, cursor_to_header
from libs.eventlog.relay.metrics import UNTOLD
from libs.eventlog.source import Row, Source, Untold
from libs.messaging.producer import MAX_MESSAGE_BYTES, Message

log = structlog.get_logger(__name__)

ROWS = 2_000
# The loop is shared: an API may run in it, and the acknowledgements of the batch before this one.
_ROWS_IN_A_STRETCH = 100


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of the log, as messages by partition.

    `cursor` is the last row's, `last` each partition's last message's, both those before it where
    there are none. `untold` are the rows without a message, and why; `traced` the messages of
    sampled traces, by partition and place in it.
    """

    rows: int
    cursor: Cursor
    last: Mapping[int, Cursor]
    messages: Mapping[int, Sequence[Message]]
    untold: Sequence[tuple[Row, str]]
    traced: Sequence[tuple[int, int]] = ()

    @property
    def full(self) -> bool:
        """Whether there may be more to read at once."""
        return self.rows == ROWS


class LogReader:
    """Reads one log over a connection of its own, for the partitions of its topic."""

    def __init__(
        self,
        source: Source,
        connection: psycopg.AsyncConnection[Row],
        partition_of: Callable[[bytes], int],
    ) -> None:
        self._source = source
        self._connection = connection
        self._partition_of = partition_of
        self._sql = f"""
            SELECT e.xid::text::bigint AS log_xid, e.position AS log_position, {source.columns}
            FROM {source.table} e
            WHERE (e.xid, e.position) > (%s::text::xid8, %s)
              AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY e.xid, e.position
            LIMIT {ROWS}
        """

    async def read(self, after: Cursor, last: Mapping[int, Cursor]) -> Batch:
        """The next rows after a cursor; `last` are the partitions' last messages up to there.

        Changes nothing, so it may be repeated. Raises psycopg.Error.
        """
        rows = await (
            await self._connection.execute(self._sql, [str(after.xid), after.position], binary=True)
        ).fetchall()
        last = dict(last)
        messages: dict[int, list[Message]] = {}
        untold: list[tuple[Row, str]] = []
        traced: list[tuple[int, int]] = []
        cursor = after
        for number, row in enumerate(rows, start=1):
            cursor = Cursor(row.log_xid, row.log_position)
            try:
                message = self._source.to_message(row)
                if message is not None and len(message.value or b"") > MAX_MESSAGE_BYTES:
                    raise Untold("the event is larger than a message may be")
            except Untold as error:
                untold.append((row, str(error)))
            except Exception as bug:  # noqa: BLE001 - a parser's bug must not stop the log
                untold.append((row, f"{type(bug).__name__} in the translation"))
            else:
                if message is not None:
                    partition = self._partition_of(message.key)
                    previous = last.get(partition, BEGINNING)
                    message.headers.append(cursor_to_header(cursor, previous))
                    batch = messages.setdefault(partition, [])
                    if message.traced:
                        traced.append((partition, len(batch)))
                    batch.append(message)
                    last[partition] = cursor
            if number % _ROWS_IN_A_STRETCH == 0:
                await asyncio.sleep(0)
        return Batch(len(rows), cursor, last, messages, untold, traced)


async def set_aside(
    connection: psycopg.AsyncConnection[Row], source: Source, row: Row, reason: str
) -> None:
    """Write a row that has no message to the owner's dead letters. May be repeated."""
    UNTOLD.labels(source.name).inc()
    log.error("row not translated", relay=source.name, event_id=str(row.id), reason=reason)
    await connection.execute(
        """
        INSERT INTO dead_letters (reader, topic, partition, "offset", event_id, headers, error)
        VALUES (%s, %s, -1, %s, %s, '{}', %s)
        ON CONFLICT (reader, event_id) WHERE event_id IS NOT NULL
        DO UPDATE SET last_seen = now(), attempts = dead_letters.attempts + 1,
                      error = excluded.error
        """,
        [f"{source.name}.translate", source.topic, row.log_position, row.id, reason],
    )
