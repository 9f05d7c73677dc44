"""What an instance holds of its topics: where it stands in each partition, and what it takes in."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.projections import batch, checkpoints, metrics
from libs.projections.batch import LimitReached
from libs.projections.checkpoints import Checkpoint, Fenced
from libs.projections.dead_letters import DeadLetter
from libs.projections.limits import Limits, PoisonMeter
from libs.projections.reader import Reader
from libs.projections.sift import Record, Sifted, sift
from libs.projections.traced import trace_batch
from libs.projections.watchdog import Watchdog

log = structlog.get_logger(__name__)


class Retry(Exception):
    """The database is not there (yet); the batch will be fetched again."""


class Partitions:
    """Of one reader's instance. `places` is where it stands.

    The database says the same, or less by messages that did not concern the reader: those are
    written down every second, or with the next that does, and are read again after a crash.
    `rewound` are those being read again from their start, to find what stands before a hole.
    `prefix` stands before the topics' names on the broker.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        engine: AsyncEngine,
        prefix: str,
        limits: Limits,
        watchdog: Watchdog,
    ) -> None:
        self.places: dict[TopicPartition, Checkpoint] = {}
        self._saved: dict[TopicPartition, Checkpoint] = {}
        self.rewound: set[TopicPartition] = set()
        self._reader = reader
        self._engine = engine
        self._prefix = prefix
        self._limits = limits
        self._watchdog = watchdog
        self._meters: dict[TopicPartition, PoisonMeter] = {}
        self._working = asyncio.Lock()

    def forget_all(self) -> None:
        """All are found and sought again, so nothing that was fetched is skipped."""
        self.places.clear()

    async def forget(self, places: Iterable[TopicPartition]) -> None:
        """Wait for the batch under way and forget these."""
        async with self._working:
            for place in places:
                self.places.pop(place, None)
                # Its lag is another instance's to tell.
                metrics.LAG.remove(self._reader.name, f"{place.topic}-{place.partition}")

    async def find(self, consumer: AIOKafkaConsumer) -> None:
        """Load and seek to the checkpoint of every partition newly ours. Raises Retry."""
        for place in sorted(consumer.assignment() - self.places.keys()):
            async with self._working:
                try:
                    async with self._engine.begin() as connection:
                        checkpoint = await checkpoints.load(
                            connection, self._reader.name, self._topic(place), place.partition
                        )
                except Exception as error:
                    if batch.is_passing(error):
                        raise Retry(type(error).__name__) from error
                    raise
                if place not in consumer.assignment():
                    continue
                if checkpoint.stopped_reason is not None:
                    consumer.pause(place)
                else:
                    consumer.resume(place)
                    consumer.seek(place, checkpoint.next_offset)
                self.places[place] = self._saved[place] = checkpoint
                self._meters.setdefault(place, PoisonMeter(self._limits))
                self.rewound.discard(place)

    async def take(
        self,
        consumer: AIOKafkaConsumer,
        place: TopicPartition,
        old: Checkpoint,
        sifted: Sifted,
        records: list[Record],
    ) -> None:
        """Write what was sifted from `records` on the word that `old` is our place. Raises Retry.

        Does nothing where it is not: then they are fetched again, by us or another instance.
        """
        async with self._working:
            # Lost, fenced or stopped since: then what stands there is not what we went on from.
            if self.places.get(place) is old:
                await self._commit(consumer, place, old, sifted, records)

    async def _commit(
        self,
        consumer: AIOKafkaConsumer,
        place: TopicPartition,
        old: Checkpoint,
        sifted: Sifted,
        records: list[Record],
    ) -> None:
        key = (self._topic(place), place.partition)
        began = time.perf_counter()
        letters: list[DeadLetter] = []
        if sifted.concerns:
            try:
                letters = await batch.commit(
                    self._engine,
                    self._reader,
                    self._saved[place],
                    sifted,
                    place=key,
                    allow=self._meters[place].check,
                )
            except LimitReached as limit:
                await self._stop_partition(consumer, place, records, limit.upto)
                return
            except Fenced:
                self._fenced(place)
                return
            except Exception as error:
                if batch.is_passing(error):
                    raise Retry(type(error).__name__) from error
                raise
            self._meters[place].accept()
            self._saved[place] = sifted.checkpoint
        self.places[place] = sifted.checkpoint
        seconds = time.perf_counter() - began
        self._count(sifted, len(letters), len(records), seconds)
        trace_batch(
            sifted,
            reader=self._reader.name,
            place=key,
            letters=letters,
            messages=len(records),
            seconds=seconds,
        )
        for letter in letters:
            log.error(
                "dead letter",
                reader=self._reader.name,
                partition=str(place),
                offset=letter.offset,
                event_id=letter.event_id and str(letter.event_id),
                reason=letter.error,
            )
        if sifted.checkpoint.cursor > old.cursor:
            self.rewound.discard(place)
        if sifted.hole_at is not None:
            await self._rewind(consumer, place, sifted.hole_at)

    async def save(self) -> None:
        """Write down where we stand, if anything has moved that did not concern us. Raises Retry."""
        async with self._working:
            moved = {
                place: (self._saved[place], checkpoint)
                for place, checkpoint in self.places.items()
                if checkpoint != self._saved[place]
            }
            for place, (old, new) in moved.items():
                try:
                    async with self._engine.begin() as connection:
                        await checkpoints.move(
                            connection,
                            self._reader.name,
                            self._topic(place),
                            place.partition,
                            old=old,
                            new=new,
                            durable=False,
                        )
                except Fenced:
                    self._fenced(place)
                except Exception as error:
                    if batch.is_passing(error):
                        raise Retry(type(error).__name__) from error
                    raise
                else:
                    self._saved[place] = new

    def _fenced(self, place: TopicPartition) -> None:
        log.warning("fenced", reader=self._reader.name, partition=str(place))
        self.places.pop(place, None)

    async def _rewind(self, consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> None:
        """What stands before the hole may stand at the beginning: the topic was fed again."""
        if place in self.rewound:
            return
        log.warning(
            "hole in the topic, reading again from its start", partition=str(place), offset=offset
        )
        metrics.REWINDS.labels(self._reader.name).inc()
        self.rewound.add(place)
        await consumer.seek_to_beginning(place)

    async def _stop_partition(
        self,
        consumer: AIOKafkaConsumer,
        place: TopicPartition,
        records: list[Record],
        upto: int | None,
    ) -> None:
        """Take in what is allowed, then stop and say so; nothing beyond is dropped."""
        old = self._saved[place]
        key = (self._topic(place), place.partition)
        if upto is not None:
            allowed = [record for record in records if record.offset <= upto]
            sifted = Sifted(self.places[place])
            sift(self._reader, sifted, allowed)
            try:
                await batch.commit(
                    self._engine,
                    self._reader,
                    old,
                    sifted,
                    place=key,
                    allow=self._meters[place].check,
                )
            except Exception as error:
                if batch.is_passing(error):
                    raise Retry(type(error).__name__) from error
                raise
            old = sifted.checkpoint
        reason = (
            f"more than {self._limits.consecutive} dead letters in a row or"
            f" {self._limits.share:.0%} of the last {self._limits.window}"
        )
        async with self._engine.begin() as connection:
            await checkpoints.stop(connection, self._reader.name, *key, reason)
        consumer.pause(place)
        self.places[place] = self._saved[place] = Checkpoint(old.next_offset, old.cursor, reason)
        self._meters[place] = PoisonMeter(self._limits)
        log.error(
            "partition stopped", reader=self._reader.name, partition=str(place), reason=reason
        )
        self._show_stopped()

    async def look_at_stopped(self) -> None:
        """Read on where an operator has released a partition."""
        for place, checkpoint in list(self.places.items()):
            if checkpoint.stopped_reason is None:
                continue
            with contextlib.suppress(Exception):
                async with self._engine.begin() as connection:
                    found = await checkpoints.load(
                        connection, self._reader.name, self._topic(place), place.partition
                    )
                if found.stopped_reason is None:
                    self.places.pop(place, None)
        self._show_stopped()

    def _count(self, sifted: Sifted, dead: int, records: int, seconds: float) -> None:
        self._watchdog.progress()
        name = self._reader.name
        metrics.BATCHES.labels(name).observe(records)
        metrics.APPLIED.labels(name).inc(max(0, len(sifted.events) + len(sifted.poison) - dead))
        metrics.DUPLICATES.labels(name).inc(sifted.duplicates)
        metrics.DEAD.labels(name).inc(dead)
        metrics.BATCH_DURATION.labels(name).observe(seconds)
        now = time.time()
        metrics.LAST_PROGRESS.labels(name).set(now)
        if sifted.events:
            happened = sifted.events[0].envelope.time.timestamp()
            metrics.DELAY.labels(name).observe(max(0.0, now - happened))

    def _show_stopped(self) -> None:
        stopped = sum(1 for place in self.places.values() if place.stopped_reason is not None)
        metrics.STOPPED.labels(self._reader.name).set(stopped)

    def _topic(self, place: TopicPartition) -> str:
        return str(place.topic).removeprefix(self._prefix)
