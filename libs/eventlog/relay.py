"""The way out of a log: committed rows become messages, in order, none lost.

The log is the truth and the topic a cache of it. One relay leads per service; its cursor moves
only behind acknowledged messages, so a crash repeats messages but never skips one. Readers drop
repeats by cursor.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

import psycopg
import structlog
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge, Histogram
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from libs.contracts.envelope import BEGINNING, Cursor, to_headers
from libs.eventlog.notify import CHANNEL
from libs.eventlog.source import Outgoing, Row, Source, Untold
from libs.messaging.cluster import Cluster
from libs.messaging.config import BrokerConfig
from libs.messaging.producer import MAX_MESSAGE_BYTES, Message, Producer
from libs.messaging.topics import ensure_topics

log = structlog.get_logger(__name__)

BATCH = 2_000
POLL_SECONDS = 0.25
STANDBY_SECONDS = 1.0
BROKER_CHECK_SECONDS = 5.0
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0)

RELAYED = Counter("rookery_relay_events_total", "Messages acknowledged by the broker", ["relay"])
UNTOLD = Counter("rookery_relay_untold_total", "Rows that could not be translated", ["relay"])
LEADING = Gauge("rookery_relay_leading", "1 where this process leads", ["relay"])
REFED = Counter(
    "rookery_relay_refeeds_total", "Times the topic was fed again from its beginning", ["relay"]
)
BATCHES = Histogram(
    "rookery_relay_batch_size",
    "Rows read at once",
    ["relay"],
    buckets=(1, 10, 100, 500, 1000, 2000),
)
HORIZON_AGE = Gauge(
    "rookery_relay_horizon_age_seconds",
    "Age of the oldest open write transaction, behind which the relay waits",
    ["relay"],
)


class FutureTransactions(Exception):
    """The log holds transaction ids that this server has not reached."""

    def __init__(self, table: str, xid: int, epoch: int) -> None:
        super().__init__(
            f"{table} holds transaction id {xid}, which this PostgreSQL has not reached: the log was"
            " restored into a younger cluster. New events would sort before old ones, so nothing is"
            " relayed. Stop PostgreSQL, run 'pg_resetwal --epoch="
            f"{epoch} -D <its data folder>', start it again."
        )


class Deposed(Exception):
    """Another relay moved the cursor; this one stops leading."""


class FedAgain(Exception):
    """The cursor went back to the beginning; go on with new connections."""


@dataclass(frozen=True)
class Position:
    """Where a relay stands: its cursor, the broker it fed, and per partition the end and cursor."""

    cursor: Cursor
    cluster_id: str | None
    ends: Mapping[int, int]
    last: Mapping[int, Cursor]


class Relay:
    """Carries one service's log to its topic while it leads; stands by while another does.

    `database_url` is the worker role's, straight to PostgreSQL and not through a transaction
    pooler: leadership is a session's advisory lock. The compare-and-set of the cursor is the real
    fence, and holds even if the lock were lost.
    """

    def __init__(self, source: Source, *, database_url: str, broker: BrokerConfig) -> None:
        self.source = source
        self._url = database_url
        self._broker = broker
        name = source.table
        self._read_sql = f"""
            SELECT e.xid::text::bigint AS log_xid, e.position AS log_position, {source.columns}
            FROM {name} e
            WHERE (e.xid, e.position) > (%s::text::xid8, %s)
              AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY e.xid, e.position
            LIMIT {BATCH}
        """

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop` is set. Broken connections are mended with growing pauses.

        Raises FutureTransactions, which no waiting mends.
        """
        failures = 0
        while not stop.is_set():
            started = time.monotonic()
            try:
                await self._attempt(stop)
            except (
                psycopg.OperationalError,
                psycopg.InterfaceError,
                KafkaError,
                OSError,
                TimeoutError,
            ) as error:
                # A spell of good work wipes the slate clean.
                failures = 0 if time.monotonic() - started > 10 else failures + 1
                log.warning("relay interrupted", relay=self.source.name, error=_brief(error))
                await _pause(stop, _BACKOFF[min(failures, len(_BACKOFF)) - 1])
            except FedAgain:
                continue
            except Deposed:
                log.warning("relay deposed", relay=self.source.name)
            finally:
                LEADING.labels(self.source.name).set(0)

    async def _attempt(self, stop: asyncio.Event) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            row_factory=namedtuple_row,
            application_name=f"{self.source.name} relay",
            connect_timeout=5,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
            options="-c timezone=UTC -c statement_timeout=30s",
        )
        async with connection:
            while not stop.is_set():
                row: Row = await (
                    await connection.execute(
                        "SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS mine",
                        [f"relay {self.source.name}"],
                    )
                ).fetchone()
                if row is not None and row.mine:
                    await self._lead(connection, stop)
                    return
                await _pause(stop, STANDBY_SECONDS)

    async def _lead(self, connection: psycopg.AsyncConnection[Row], stop: asyncio.Event) -> None:
        await self._refuse_the_future(connection)
        await connection.execute(f"LISTEN {CHANNEL}")
        position = await self._load(connection)
        LEADING.labels(self.source.name).set(1)
        async with Producer(self._broker) as producer, Cluster(self._broker) as cluster:
            position = await self._check_broker(connection, cluster, position)
            checked = time.monotonic()
            log.info("relay leads", relay=self.source.name, cursor=str(position.cursor))
            while not stop.is_set():
                rows = await (
                    await connection.execute(
                        self._read_sql, [str(position.cursor.xid), position.cursor.position]
                    )
                ).fetchall()
                if rows:
                    BATCHES.labels(self.source.name).observe(len(rows))
                    position = await self._forward(connection, producer, cluster, position, rows)
                if time.monotonic() - checked > BROKER_CHECK_SECONDS:
                    position = await self._check_broker(connection, cluster, position)
                    await self._observe_horizon(connection)
                    checked = time.monotonic()
                if len(rows) < BATCH:
                    await _notified(connection, POLL_SECONDS)

    async def _forward(
        self,
        connection: psycopg.AsyncConnection[Row],
        producer: Producer,
        cluster: Cluster,
        position: Position,
        rows: list[Row],
    ) -> Position:
        """Send one batch of rows and move the cursor behind it.

        An acknowledgement counts only if the cluster is still the one that was fed so far: the
        library connects again unasked, and an emptied broker may acknowledge as well.
        """
        last = dict(position.last)
        batches: dict[int, list[Message]] = {}
        untold: list[tuple[Row, str]] = []
        for row in rows:
            cursor = Cursor(row.log_xid, row.log_position)
            try:
                outgoing = self.source.to_message(row, cursor)
                if outgoing is not None and len(outgoing.data) > MAX_MESSAGE_BYTES:
                    raise Untold("the event is larger than a message may be")
            except Untold as error:
                untold.append((row, str(error)))
                continue
            except Exception as bug:  # noqa: BLE001 - a parser's bug must not stop the log
                untold.append((row, f"{type(bug).__name__} in the translation"))
                continue
            if outgoing is None:
                continue
            partition = await producer.partition_for(self.source.topic, outgoing.envelope.stream)
            batches.setdefault(partition, []).append(
                _message(outgoing, last.get(partition, BEGINNING))
            )
            last[partition] = cursor
        ends = await producer.send(self.source.topic, batches)
        found = await cluster.cluster_id()
        if found != position.cluster_id:
            await self._feed_again(connection, position, found, "another cluster")
        if any(end < position.ends.get(partition, 0) for partition, end in ends.items()):
            await self._feed_again(connection, position, found, "offsets fell back")
        moved = Position(
            cursor=Cursor(rows[-1].log_xid, rows[-1].log_position),
            cluster_id=position.cluster_id,
            ends={**position.ends, **ends},
            last=last,
        )
        async with connection.transaction():
            for row, reason in untold:
                await self._set_aside(connection, row, reason)
            await self._save(connection, position.cursor, moved)
        RELAYED.labels(self.source.name).inc(sum(len(batch) for batch in batches.values()))
        return moved

    async def _set_aside(
        self, connection: psycopg.AsyncConnection[Row], row: Row, reason: str
    ) -> None:
        UNTOLD.labels(self.source.name).inc()
        log.error("row not translated", relay=self.source.name, event_id=str(row.id), reason=reason)
        await connection.execute(
            """
            INSERT INTO dead_letters (reader, topic, partition, "offset", event_id, headers, error)
            VALUES (%s, %s, -1, %s, %s, '{}', %s)
            ON CONFLICT (reader, event_id) WHERE event_id IS NOT NULL
            DO UPDATE SET last_seen = now(), attempts = dead_letters.attempts + 1,
                          error = excluded.error
            """,
            [f"{self.source.name}.translate", self.source.topic, row.log_position, row.id, reason],
        )

    async def _check_broker(
        self, connection: psycopg.AsyncConnection[Row], cluster: Cluster, position: Position
    ) -> Position:
        """Feed everything again if the broker is another one than before, or an emptied one."""
        await ensure_topics(self._broker, [self.source.topic])
        found = await cluster.cluster_id()
        if position.cluster_id not in {None, found}:
            await self._feed_again(connection, position, found, "another cluster")
        ends = await cluster.end_offsets(self.source.topic, position.ends)
        if any(ends.get(partition, 0) < end for partition, end in position.ends.items()):
            await self._feed_again(connection, position, found, "topic emptied")
        return replace(position, cluster_id=found)

    async def _feed_again(
        self,
        connection: psycopg.AsyncConnection[Row],
        position: Position,
        cluster: str | None,
        reason: str,
    ) -> NoReturn:
        """Set the cursor to the beginning, for the cluster of that name. Raises FedAgain."""
        log.warning("feeding the topic again", relay=self.source.name, reason=reason)
        REFED.labels(self.source.name).inc()
        await self._save(connection, position.cursor, Position(BEGINNING, cluster, {}, {}))
        raise FedAgain

    async def _load(self, connection: psycopg.AsyncConnection[Row]) -> Position:
        await connection.execute(
            "INSERT INTO relay_cursors (relay) VALUES (%s) ON CONFLICT DO NOTHING",
            [self.source.name],
        )
        row = await (
            await connection.execute(
                "SELECT xid, position, cluster_id, partitions FROM relay_cursors WHERE relay = %s",
                [self.source.name],
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

    async def _save(
        self, connection: psycopg.AsyncConnection[Row], old: Cursor, new: Position
    ) -> None:
        partitions = {
            str(number): {"end": new.ends.get(number, 0), "last": str(cursor)}
            for number, cursor in new.last.items()
        }
        saved = await connection.execute(
            "UPDATE relay_cursors SET xid = %s, position = %s, cluster_id = %s, partitions = %s,"
            " updated_at = now() WHERE relay = %s AND xid = %s AND position = %s",
            [*new.cursor, new.cluster_id, Jsonb(partitions), self.source.name, *old],
        )
        if saved.rowcount != 1:
            raise Deposed

    async def _refuse_the_future(self, connection: psycopg.AsyncConnection[Row]) -> None:
        row = await (
            await connection.execute(
                "SELECT e.xid::text::bigint AS newest, e.xid >= pg_snapshot_xmax(pg_current_snapshot())"
                f" AS ahead FROM {self.source.table} e ORDER BY e.xid DESC LIMIT 1"
            )
        ).fetchone()
        if row is not None and row.ahead:
            raise FutureTransactions(self.source.table, row.newest, (row.newest >> 32) + 1)

    async def _observe_horizon(self, connection: psycopg.AsyncConnection[Row]) -> None:
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
        HORIZON_AGE.labels(self.source.name).set(age)
        if row is not None and age > 10:
            log.warning(
                "a long transaction holds the relay back",
                relay=self.source.name,
                seconds=round(age),
                pid=row.pid,
                session=row.application_name,
            )


def _message(outgoing: Outgoing, previous: Cursor) -> Message:
    envelope = replace(outgoing.envelope, previous=previous)
    return Message(
        key=envelope.stream.encode(),
        value=outgoing.data,
        headers=to_headers(envelope),
        timestamp_ms=int(envelope.time.timestamp() * 1000),
    )


async def _notified(connection: psycopg.AsyncConnection[Row], timeout: float) -> None:
    """Return at the next NOTIFY, or after `timeout` seconds."""
    async for _ in connection.notifies(timeout=timeout, stop_after=1):
        return


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _brief(error: BaseException) -> str:
    """The kind of error and its first line; connection errors name hosts, never passwords."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
