"""One service's relay: it leads or stands by, and moves its cursor behind what is acknowledged."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import NoReturn

import psycopg
import structlog
from aiokafka.errors import KafkaError
from psycopg.rows import namedtuple_row

from libs.contracts.envelope import BEGINNING
from libs.eventlog.notify import CHANNEL
from libs.eventlog.relay import position as place
from libs.eventlog.relay.backlog import observe_backlog
from libs.eventlog.relay.horizon import observe_horizon, refuse_the_future
from libs.eventlog.relay.metrics import (
    BATCHES,
    DELAY,
    INTERRUPTIONS,
    LAG,
    LAST_ACKNOWLEDGED,
    LEADING,
    REFED,
    RELAYED,
    SEND_DURATION,
    begin,
)
from libs.eventlog.relay.position import Deposed, Position
from libs.eventlog.relay.reading import Batch, LogReader, set_aside
from libs.eventlog.restored import refuse_topic_ahead
from libs.eventlog.source import Row, Source
from libs.messaging.cluster import Cluster
from libs.messaging.config import BrokerConfig
from libs.messaging.producer import Producer
from libs.messaging.topics import ensure_topics
from libs.messaging.tracing import sending

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.25
# What a NOTIFY told of may stand behind an older transaction for a moment.
SOON_SECONDS = 0.01
STIR_SECONDS = 0.1
STANDBY_SECONDS = 1.0
BROKER_CHECK_SECONDS = 5.0
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0)


class FedAgain(Exception):
    """The cursor went back to the beginning; go on with new connections."""


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
        begin(source.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop` is set. Broken connections are mended with growing pauses.

        Raises FutureTransactions and TopicAhead, which no waiting mends.
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
                INTERRUPTIONS.labels(self.source.name).inc()
                log.warning("relay interrupted", relay=self.source.name, error=_brief(error))
                await _pause(stop, _BACKOFF[min(failures, len(_BACKOFF)) - 1])
            except FedAgain:
                continue
            except Deposed:
                log.warning("relay deposed", relay=self.source.name)
            finally:
                LEADING.labels(self.source.name).set(0)
                LAG.labels(self.source.name).set(0)  # the next leader's to tell

    async def _connect(self) -> psycopg.AsyncConnection[Row]:
        return await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            row_factory=namedtuple_row,
            application_name=f"{self.source.name} relay",
            connect_timeout=5,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
            # A process that is stopped keeps its connection and the lock: leading, it asks
            # something every few seconds, so one that is silent for so long has lost the lead.
            # A cursor that a dying server forgets is that of messages which are sent again, and
            # readers pass over repeats: no need to wait for the disk.
            options="-c timezone=UTC -c statement_timeout=30s -c idle_session_timeout=30s"
            " -c synchronous_commit=off",
        )

    async def _attempt(self, stop: asyncio.Event) -> None:
        async with await self._connect() as connection:
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
        """Read, deliver, and wait for more; the next rows are read while a batch is delivered."""
        await refuse_the_future(connection, self.source)
        await connection.execute(f"LISTEN {CHANNEL}")
        position = await place.load(connection, self.source.name)
        LEADING.labels(self.source.name).set(1)
        async with (
            Producer(self._broker) as producer,
            Cluster(self._broker) as cluster,
            await self._connect() as reading,
        ):
            position = await self._check_broker(connection, cluster, position)
            await refuse_topic_ahead(
                connection,
                self._broker,
                table=self.source.table,
                topic=self.source.topic,
                cursor=position.cursor,
                ends=position.ends,
            )
            checked = told = time.monotonic()
            partition_of = await producer.partitioner(self.source.topic)
            reader = LogReader(self.source, reading, partition_of)
            log.info("relay leads", relay=self.source.name, cursor=str(position.cursor))
            ahead = asyncio.create_task(reader.read(position.cursor, position.last))
            try:
                while not stop.is_set():
                    batch = await ahead
                    if batch.full:
                        ahead = asyncio.create_task(reader.read(batch.cursor, batch.last))
                    if batch.rows:
                        position = await self._deliver(
                            connection, producer, cluster, position, batch
                        )
                    if time.monotonic() - checked > BROKER_CHECK_SECONDS:
                        position = await self._check_broker(connection, cluster, position)
                        await observe_horizon(connection, self.source.name)
                        await observe_backlog(connection, self.source, position.cursor)
                        checked = time.monotonic()
                    if not batch.full:
                        stirred = time.monotonic() - told < STIR_SECONDS
                        if await _notified(connection, SOON_SECONDS if stirred else POLL_SECONDS):
                            told = time.monotonic()
                        ahead = asyncio.create_task(reader.read(batch.cursor, batch.last))
            finally:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def _deliver(
        self,
        connection: psycopg.AsyncConnection[Row],
        producer: Producer,
        cluster: Cluster,
        position: Position,
        batch: Batch,
    ) -> Position:
        """Send one batch and move the cursor behind it.

        An acknowledgement counts only if the cluster is still the one that was fed so far: the
        library connects again unasked, and an emptied broker may acknowledge as well.
        """
        began = time.perf_counter()
        with sending(self.source.topic, batch.messages, batch.traced):
            ends = await producer.send(self.source.topic, batch.messages)
        SEND_DURATION.labels(self.source.name).observe(time.perf_counter() - began)
        found = await cluster.cluster_id()
        if found != position.cluster_id:
            await self._feed_again(connection, position, found, "another cluster")
        if any(end < position.ends.get(partition, 0) for partition, end in ends.items()):
            await self._feed_again(connection, position, found, "offsets fell back")
        moved = Position(
            cursor=batch.cursor,
            cluster_id=position.cluster_id,
            ends={**position.ends, **ends},
            last=batch.last,
        )
        # Alone, the move of the cursor is its own transaction and saves two round trips.
        async with connection.transaction() if batch.untold else nullcontext():
            for row, reason in batch.untold:
                await set_aside(connection, self.source, row, reason)
            await place.save(connection, self.source.name, position.cursor, moved)
        self._delivered(batch)
        return moved

    def _delivered(self, batch: Batch) -> None:
        """Say what is on the topic now, once for the whole batch."""
        BATCHES.labels(self.source.name).observe(batch.rows)
        count = sum(len(messages) for messages in batch.messages.values())
        RELAYED.labels(self.source.name).inc(count)
        if count:
            now = time.time()
            LAST_ACKNOWLEDGED.labels(self.source.name).set(now)
            first = min(messages[0].timestamp_ms or 0 for messages in batch.messages.values())
            DELAY.labels(self.source.name).observe(max(0.0, now - first / 1000))

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
        beginning = Position(BEGINNING, cluster, {}, {})
        await place.save(connection, self.source.name, position.cursor, beginning)
        raise FedAgain


async def _notified(connection: psycopg.AsyncConnection[Row], timeout: float) -> bool:
    """True at the next NOTIFY, False after `timeout` seconds."""
    async for _ in connection.notifies(timeout=timeout, stop_after=1):
        return True
    return False


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _brief(error: BaseException) -> str:
    """The kind of error and its first line; connection errors name hosts, never passwords."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
