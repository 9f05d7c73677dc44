"""Notices a consumer that gets nothing although there is more, or is never let into its group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.projections.checkpoints import Checkpoint
from libs.projections.metrics import LAG


class Stalled(Exception):
    """No progress while the topic holds more: the consumer is made anew."""


class Watchdog:
    """Of one reader. A stall is `seconds` without progress."""

    def __init__(self, reader: str, seconds: float) -> None:
        self._reader = reader
        self._seconds = seconds
        self._progress = time.monotonic()
        # Since when this instance waits to be let into the group; None while it is a member, be
        # it one without a partition.
        self._outside_since: float | None = None

    def progress(self) -> None:
        """Something was done, or could not be for a reason that is known."""
        self._progress = time.monotonic()

    def outside(self) -> None:
        """The instance has left the group, or waits for a new share of it."""
        self._outside_since = time.monotonic()

    def inside(self) -> None:
        """The group has given it its share."""
        self._outside_since = None

    async def look(
        self,
        consumer: AIOKafkaConsumer,
        places: Mapping[TopicPartition, Checkpoint],
        rewound: Container[TopicPartition],
    ) -> None:
        """Ask the broker itself whether there is more than we have been given. Raises Stalled."""
        if self._outside_since is not None:
            if time.monotonic() - self._outside_since > self._seconds / 2:
                raise Stalled
            return
        reading = [
            place
            for place, checkpoint in places.items()
            if checkpoint.stopped_reason is None and place in consumer.assignment()
        ]
        if not reading:
            return
        async with asyncio.timeout(self._seconds / 2):
            ends = await consumer.end_offsets(reading)
        behind = False
        for place, end in ends.items():
            lag = max(0, end - places[place].next_offset) if place in places else 0
            LAG.labels(self._reader, f"{place.topic}-{place.partition}").set(lag)
            behind = behind or (lag > 0 and place not in rewound)
        if not behind:
            self.progress()
        elif time.monotonic() - self._progress > self._seconds:
            raise Stalled
