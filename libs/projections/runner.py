"""Runs one reader: a Kafka group whose truth is the checkpoint in the database.

Kafka's committed offsets are written as a hint for lag tools and never read back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.messaging.config import BrokerConfig
from libs.messaging.topics import ensure_topics
from libs.projections import batch, checkpoints
from libs.projections.batch import LimitReached, Record
from libs.projections.checkpoints import Checkpoint, Fenced
from libs.projections.limits import Limits, PoisonMeter
from libs.projections.reader import Reader

log = structlog.get_logger(__name__)

MAX_RECORDS = 1_000
HINT_SECONDS = 5.0
REBALANCE_MS = 15_000
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0)

APPLIED = Counter("rookery_reader_events_total", "Events applied", ["reader"])
DUPLICATES = Counter("rookery_reader_duplicates_total", "Repeats passed over", ["reader"])
DEAD = Counter("rookery_reader_dead_letters_total", "Messages set aside", ["reader"])
RETRIES = Counter("rookery_reader_retries_total", "Batches tried again", ["reader"])
REWINDS = Counter(
    "rookery_reader_rewinds_total", "Partitions read again from the start", ["reader"]
)
STOPPED = Gauge("rookery_reader_stopped_partitions", "Partitions stopped by poison", ["reader"])
PARTITIONS = Gauge("rookery_reader_partitions", "Partitions this instance holds", ["reader"])
LAG = Gauge("rookery_reader_lag_messages", "Messages behind the end", ["reader", "partition"])
BATCHES = Histogram(
    "rookery_reader_batch_size", "Messages per batch", ["reader"], buckets=(1, 10, 100, 500, 1000)
)


class Stalled(Exception):
    """No progress while the topic holds more: the consumer is made anew."""


class _Retry(Exception):
    """The database is not there (yet); the batch will be fetched again."""


class Runner:
    """Runs `reader` with rows in `engine`'s database.

    Several instances may run at once: Kafka spreads the partitions, and the compare-and-set of
    the checkpoint keeps out one that still believes it holds a partition it lost.
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
        self._engine = engine
        self._broker = broker
        self._limits = limits or Limits()
        self._stall = stall_seconds
        self._places: dict[TopicPartition, Checkpoint] = {}
        self._meters: dict[TopicPartition, PoisonMeter] = {}
        self._rewound: set[TopicPartition] = set()
        self._working = asyncio.Lock()
        self._progress = 0.0
        # Since when this instance waits to be let into the group; None while it is a member, be
        # it one without a partition.
        self._outside_since: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop` is set; a broken broker or database is waited for, in order."""
        failures = 0
        while not stop.is_set():
            started = time.monotonic()
            try:
                await self._session(stop)
            except (KafkaError, OSError, TimeoutError, Stalled) as error:
                failures = 0 if time.monotonic() - started > 10 else failures + 1
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
        self._places.clear()
        self._outside_since = time.monotonic()
        consumer.subscribe(topics, listener=_Listener(self))
        try:
            async with asyncio.timeout(30):
                await consumer.start()
            await self._read(consumer, stop)
        finally:
            with contextlib.suppress(KafkaError, TimeoutError, OSError):
                await asyncio.wait_for(consumer.stop(), 5)

    async def _read(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        backoff = 0
        hinted = watched = self._progress = time.monotonic()
        while not stop.is_set():
            try:
                await self._find_places(consumer)
                async with asyncio.timeout(self._stall):
                    fetched = await consumer.getmany(
                        timeout_ms=self._broker.fetch_wait_ms, max_records=MAX_RECORDS
                    )
                for place, records in fetched.items():
                    async with self._working:
                        await self._take(consumer, place, records)
                backoff = 0
            except _Retry as retry:
                RETRIES.labels(self.reader.name).inc()
                log.warning(
                    "database not there, waiting", reader=self.reader.name, error=str(retry)
                )
                self._places.clear()  # found and sought again, so nothing fetched is skipped
                await _pause(stop, _BACKOFF[min(backoff, len(_BACKOFF) - 1)])
                backoff += 1
                self._progress = time.monotonic()
            now = time.monotonic()
            if now - hinted > HINT_SECONDS:
                hinted = now
                await self._hint(consumer)
                await self._look_at_stopped()
            if now - watched > self._stall / 4:
                watched = now
                await self._watch(consumer)

    async def _find_places(self, consumer: AIOKafkaConsumer) -> None:
        """Load and seek to the checkpoint of every partition newly ours."""
        for place in sorted(consumer.assignment() - self._places.keys()):
            async with self._working:
                try:
                    async with self._engine.begin() as connection:
                        checkpoint = await checkpoints.load(
                            connection, self.reader.name, self._topic(place), place.partition
                        )
                except Exception as error:
                    if batch.is_passing(error):
                        raise _Retry(type(error).__name__) from error
                    raise
                if place not in consumer.assignment():
                    continue
                if checkpoint.stopped_reason is not None:
                    consumer.pause(place)
                else:
                    consumer.resume(place)
                    consumer.seek(place, checkpoint.next_offset)
                self._places[place] = checkpoint
                self._meters.setdefault(place, PoisonMeter(self._limits))
                self._rewound.discard(place)

    async def _take(
        self, consumer: AIOKafkaConsumer, place: TopicPartition, records: list[Record]
    ) -> None:
        old = self._places.get(place)
        if old is None or old.stopped_reason is not None or not records:
            return  # lost while we fetched; whoever has it now reads them
        sifted = batch.sift(self.reader, old, records, past_holes=place in self._rewound)
        key = (self._topic(place), place.partition)
        try:
            letters = await batch.commit(
                self._engine,
                self.reader,
                old,
                sifted,
                place=key,
                allow=self._meters[place].check,
            )
        except LimitReached as limit:
            await self._stop_partition(consumer, place, records, limit.upto)
            return
        except Fenced:
            log.warning("fenced", reader=self.reader.name, partition=str(place))
            self._places.pop(place, None)
            return
        except Exception as error:
            if batch.is_passing(error):
                raise _Retry(type(error).__name__) from error
            raise
        self._meters[place].accept()
        self._places[place] = sifted.checkpoint
        self._count(sifted, len(letters), len(records))
        for letter in letters:
            log.error(
                "dead letter",
                reader=self.reader.name,
                partition=str(place),
                offset=letter.offset,
                event_id=letter.event_id and str(letter.event_id),
                reason=letter.error,
            )
        if sifted.checkpoint.cursor > old.cursor:
            self._rewound.discard(place)
        if sifted.hole_at is not None:
            await self._rewind(consumer, place, sifted.hole_at)

    async def _rewind(self, consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> None:
        """What stands before the hole may stand at the beginning: the topic was fed again."""
        if place in self._rewound:
            return
        log.warning(
            "hole in the topic, reading again from its start", partition=str(place), offset=offset
        )
        REWINDS.labels(self.reader.name).inc()
        self._rewound.add(place)
        await consumer.seek_to_beginning(place)

    async def _stop_partition(
        self,
        consumer: AIOKafkaConsumer,
        place: TopicPartition,
        records: list[Record],
        upto: int | None,
    ) -> None:
        """Take in what is allowed, then stop and say so; nothing beyond is dropped."""
        old = self._places[place]
        key = (self._topic(place), place.partition)
        if upto is not None:
            allowed = [record for record in records if record.offset <= upto]
            sifted = batch.sift(self.reader, old, allowed)
            try:
                await batch.commit(
                    self._engine,
                    self.reader,
                    old,
                    sifted,
                    place=key,
                    allow=self._meters[place].check,
                )
            except Exception as error:
                if batch.is_passing(error):
                    raise _Retry(type(error).__name__) from error
                raise
            old = sifted.checkpoint
        reason = (
            f"more than {self._limits.consecutive} dead letters in a row or"
            f" {self._limits.share:.0%} of the last {self._limits.window}"
        )
        async with self._engine.begin() as connection:
            await checkpoints.stop(connection, self.reader.name, *key, reason)
        consumer.pause(place)
        self._places[place] = Checkpoint(old.next_offset, old.cursor, reason)
        self._meters[place] = PoisonMeter(self._limits)
        log.error("partition stopped", reader=self.reader.name, partition=str(place), reason=reason)
        self._show_stopped()

    async def _look_at_stopped(self) -> None:
        """Read on where an operator has released a partition."""
        for place, checkpoint in list(self._places.items()):
            if checkpoint.stopped_reason is None:
                continue
            with contextlib.suppress(Exception):
                async with self._engine.begin() as connection:
                    found = await checkpoints.load(
                        connection, self.reader.name, self._topic(place), place.partition
                    )
                if found.stopped_reason is None:
                    self._places.pop(place, None)
        self._show_stopped()

    async def _watch(self, consumer: AIOKafkaConsumer) -> None:
        """Ask the broker itself whether there is more than we have been given."""
        reading = [
            place
            for place, checkpoint in self._places.items()
            if checkpoint.stopped_reason is None and place in consumer.assignment()
        ]
        if self._outside_since is not None:
            if time.monotonic() - self._outside_since > self._stall / 2:
                raise Stalled
            return
        if not reading:
            return
        async with asyncio.timeout(self._stall / 2):
            ends = await consumer.end_offsets(reading)
        behind = False
        for place, end in ends.items():
            lag = max(0, end - self._places[place].next_offset) if place in self._places else 0
            LAG.labels(self.reader.name, f"{place.topic}-{place.partition}").set(lag)
            behind = behind or (lag > 0 and place not in self._rewound)
        if not behind:
            self._progress = time.monotonic()
        elif time.monotonic() - self._progress > self._stall:
            raise Stalled

    async def _hint(self, consumer: AIOKafkaConsumer) -> None:
        offsets = {
            place: checkpoint.next_offset
            for place, checkpoint in self._places.items()
            if place in consumer.assignment()
        }
        if offsets:
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(consumer.commit(offsets), 5)

    def _count(self, sifted: batch.Sifted, dead: int, records: int) -> None:
        self._progress = time.monotonic()
        name = self.reader.name
        BATCHES.labels(name).observe(records)
        APPLIED.labels(name).inc(max(0, len(sifted.events) + len(sifted.poison) - dead))
        DUPLICATES.labels(name).inc(sifted.duplicates)
        DEAD.labels(name).inc(dead)

    def _show_stopped(self) -> None:
        stopped = sum(1 for place in self._places.values() if place.stopped_reason is not None)
        STOPPED.labels(self.reader.name).set(stopped)

    def _topic(self, place: TopicPartition) -> str:
        return str(place.topic).removeprefix(self._broker.prefix)

    async def revoked(self, places: Iterable[TopicPartition]) -> None:
        """Wait for the batch under way and forget the partitions."""
        self._outside_since = time.monotonic()
        PARTITIONS.labels(self.reader.name).set(0)
        async with self._working:
            for place in places:
                self._places.pop(place, None)

    def assigned(self, places: Collection[TopicPartition]) -> None:
        """Say so; the partitions themselves are found in the assignment."""
        self._outside_since = None
        PARTITIONS.labels(self.reader.name).set(len(places))
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
