"""Runs one reader: a Kafka group whose truth is the checkpoint in the database.

Kafka's committed offsets are written as a hint for lag tools and never read back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.messaging.closing import close
from libs.messaging.config import BrokerConfig
from libs.messaging.topics import ensure_topics
from libs.projections import metrics
from libs.projections.checkpoints import Checkpoint
from libs.projections.limits import Limits
from libs.projections.partitions import Partitions, Retry
from libs.projections.reader import Reader
from libs.projections.sift import Sifted, sift
from libs.projections.watchdog import Stalled, Watchdog

log = structlog.get_logger(__name__)

MAX_RECORDS = 1_000
HINT_SECONDS = 5.0
SAVE_SECONDS = 1.0
REBALANCE_MS = 15_000
# So many messages are sifted before the batch under way gets its turn.
_AT_ONCE = 64
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class _Taking:
    """A batch on its way into the database: its partition's place once it is there."""

    place: TopicPartition
    sifted: Sifted
    task: asyncio.Task[None]


class Runner:
    """Runs `reader` with rows in `engine`'s database.

    Several instances may run at once: Kafka spreads the partitions, and the compare-and-set of
    the checkpoint keeps out one that still believes it holds a partition it lost.

    While PostgreSQL works on a batch the next one is fetched and sifted, on the word that the
    first will succeed; where it does not, the next one is thrown away and fetched again.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        engine: AsyncEngine,
        broker: BrokerConfig,
        limits: Limits | None = None,
        stall_seconds: float = 60.0,
    ) -> None:
        self.reader = reader
        self._broker = broker
        self._stall = stall_seconds
        self._watchdog = Watchdog(reader.name, stall_seconds)
        self._partitions = Partitions(
            reader,
            engine=engine,
            prefix=broker.prefix,
            limits=limits or Limits(),
            watchdog=self._watchdog,
        )
        self._taking: _Taking | None = None
        metrics.begin(reader.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop` is set; a broken broker or database is waited for, in order."""
        failures = 0
        while not stop.is_set():
            started = time.monotonic()
            try:
                await self._session(stop)
            except (KafkaError, OSError, TimeoutError, Stalled) as error:
                failures = 0 if time.monotonic() - started > 10 else failures + 1
                metrics.INTERRUPTIONS.labels(self.reader.name).inc()
                metrics.LAST_ERROR.labels(self.reader.name).set_to_current_time()
                log.warning("reader interrupted", reader=self.reader.name, error=repr(error)[:200])
                await _pause(stop, _BACKOFF[min(failures, len(_BACKOFF)) - 1])

    async def _session(self, stop: asyncio.Event) -> None:
        topics = [self._broker.prefix + topic for topic in self.reader.topics]
        await ensure_topics(self._broker, self.reader.topics)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._broker.bootstrap_servers,
            group_id=self._broker.prefix + self.reader.name,
            enable_auto_commit=False,
            # Only ever used where our own place is gone from the topic; repeats are fenced.
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._broker.fetch_wait_ms,
            # A join waits for the other members, so it may take as long as a rebalance.
            request_timeout_ms=REBALANCE_MS + self._broker.request_timeout_ms,
            rebalance_timeout_ms=REBALANCE_MS,
            session_timeout_ms=self._broker.session_timeout_ms,
            heartbeat_interval_ms=self._broker.session_timeout_ms // 3,
            metadata_max_age_ms=30_000,
        )
        self._partitions.forget_all()
        self._watchdog.outside()
        consumer.subscribe(topics, listener=_Listener(self))
        try:
            async with asyncio.timeout(30):
                await consumer.start()
            await self._read(consumer, stop)
        finally:
            await self._abandon()
            await close(consumer.stop(), 5)

    async def _read(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        backoff = 0
        self._watchdog.progress()
        hinted = saved = watched = time.monotonic()
        while not stop.is_set():
            try:
                await self._partitions.find(consumer)
                await self._fetch_and_take(consumer)
                if time.monotonic() - saved > SAVE_SECONDS:
                    await self._partitions.save()
                    saved = time.monotonic()
                backoff = 0
            except Retry as retry:
                metrics.RETRIES.labels(self.reader.name).inc()
                metrics.LAST_ERROR.labels(self.reader.name).set_to_current_time()
                log.warning(
                    "database not there, waiting", reader=self.reader.name, error=str(retry)
                )
                self._partitions.forget_all()
                await _pause(stop, _BACKOFF[min(backoff, len(_BACKOFF) - 1)])
                backoff += 1
                self._watchdog.progress()
            now = time.monotonic()
            if now - hinted > HINT_SECONDS:
                hinted = now
                await self._hint(consumer)
                await self._partitions.look_at_stopped()
            if now - watched > self._stall / 4:
                watched = now
                await self._watchdog.look(
                    consumer, self._partitions.places, self._partitions.rewound
                )
        with contextlib.suppress(Retry):
            await self._taken()
            await self._partitions.save()

    async def _fetch_and_take(self, consumer: AIOKafkaConsumer) -> None:
        """Begin to take in what there is, or finish what was begun if there is nothing more."""
        wait_ms = 0 if self._taking else self._broker.fetch_wait_ms
        async with asyncio.timeout(self._stall):
            fetched = await consumer.getmany(timeout_ms=wait_ms, max_records=MAX_RECORDS)
        if not fetched:
            await self._taken()
        for place, records in fetched.items():
            old = self._place_to_be(place)
            if old is None or old.stopped_reason is not None:
                continue  # lost while we fetched; whoever has it now reads them
            sifted = Sifted(old, past_holes=place in self._partitions.rewound)
            for first in range(0, len(records), _AT_ONCE):
                sift(self.reader, sifted, records[first : first + _AT_ONCE])
                await asyncio.sleep(0)
            await self._taken()
            task = asyncio.create_task(self._partitions.take(consumer, place, old, sifted, records))
            self._taking = _Taking(place, sifted, task)

    def _place_to_be(self, place: TopicPartition) -> Checkpoint | None:
        if self._taking is not None and self._taking.place == place:
            return self._taking.sifted.checkpoint
        return self._partitions.places.get(place)

    async def _taken(self) -> None:
        """Wait for the batch under way. Raises what it raised."""
        taking, self._taking = self._taking, None
        if taking is not None:
            await taking.task

    async def _abandon(self) -> None:
        """Let the batch under way end, or break it off: its outcome is found in the database."""
        taking, self._taking = self._taking, None
        if taking is not None:
            await asyncio.wait({taking.task}, timeout=5)
            taking.task.cancel()
            await asyncio.gather(taking.task, return_exceptions=True)

    async def _hint(self, consumer: AIOKafkaConsumer) -> None:
        offsets = {
            place: checkpoint.next_offset
            for place, checkpoint in self._partitions.places.items()
            if place in consumer.assignment()
        }
        if offsets:
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(consumer.commit(offsets), 5)

    async def revoked(self, places: Iterable[TopicPartition]) -> None:
        """Wait for the batch under way and forget the partitions."""
        self._watchdog.outside()
        metrics.PARTITIONS.labels(self.reader.name).set(0)
        await self._partitions.forget(places)

    def assigned(self, places: Collection[TopicPartition]) -> None:
        """Say so; the partitions themselves are found in the assignment."""
        self._watchdog.inside()
        metrics.PARTITIONS.labels(self.reader.name).set(len(places))
        metrics.LAST_PROGRESS.labels(self.reader.name).set_to_current_time()
        log.info("partitions assigned", reader=self.reader.name, count=len(places))


class _Listener(ConsumerRebalanceListener):
    """Tells the runner what it lost, and that it is in the group."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._runner.revoked(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._runner.assigned(assigned)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
