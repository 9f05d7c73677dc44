"""A producer that keeps order within a partition whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError
from aiokafka.partitioner import DefaultPartitioner

from libs.messaging.closing import close
from libs.messaging.config import BrokerConfig

# Seen on events of ours: a quarter of the time of lz4 (aiokafka asks it for its level 9), and three
# fifths of its size.
COMPRESSION = "zstd"
MAX_BATCH_BYTES = 512 * 1024
MAX_MESSAGE_BYTES = 900_000
_REMEMBERED_KEYS = 16_384
_partition = DefaultPartitioner()


class Message(NamedTuple):
    """What goes on a topic. `timestamp_ms` is the event's time; None is the present.

    `traced` says that its header `traceparent` is of a sampled trace.
    """

    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp_ms: int | None = None
    traced: bool = False


class Producer:
    """Sends batches one after the other within a partition, partitions side by side.

    A library producer with several batches under way can fail one and deliver the next; a reader
    that fences by cursor would then take the repeat of the first for a duplicate and lose it. Here
    a batch leaves only when the one before it is acknowledged. After any error the producer is
    spent: close it, make a new one and send again from the last acknowledged place (aiokafka does
    not recover from every fatal error by itself, its issue 1017).
    """

    def __init__(self, broker: BrokerConfig) -> None:
        self._broker = broker
        self._timeout = broker.request_timeout_ms / 1000
        self._producer = AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap_servers,
            acks="all",
            enable_idempotence=broker.idempotence,
            compression_type=COMPRESSION,
            max_batch_size=MAX_BATCH_BYTES,
            linger_ms=0,
            request_timeout_ms=broker.request_timeout_ms,
        )

    async def __aenter__(self) -> Producer:
        """Connect. Raises KafkaError when the broker is not there."""
        try:
            await asyncio.wait_for(self._producer.start(), self._timeout)
        except TimeoutError:
            await self._stop()
            raise KafkaTimeoutError("the broker did not answer") from None
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        await close(self._producer.stop(), 2)

    async def partitioner(self, topic: str) -> Callable[[bytes], int]:
        """What tells the partition of a key (murmur2, as every Kafka client does).

        Keys met lately are remembered: the sum over a key costs more than all else that is done
        here for a message. Raises KafkaError, or TimeoutError for a topic that does not exist.
        """
        found = await asyncio.wait_for(
            self._producer.partitions_for(self._broker.prefix + topic), self._timeout
        )
        known = sorted(found)

        @lru_cache(maxsize=_REMEMBERED_KEYS)
        def partition_of(key: bytes) -> int:
            return int(_partition(key, known, known))

        return partition_of

    async def send(self, topic: str, batches: Mapping[int, Sequence[Message]]) -> dict[int, int]:
        """Send the messages of each partition in order and wait until all are acknowledged.

        Gives, for each partition, an offset that its end has reached at least. Raises KafkaError;
        then some of the messages may be on the topic, but never one without those before it in
        its partition.
        """
        name = self._broker.prefix + topic
        tasks = {
            partition: asyncio.create_task(self._send_partition(name, partition, messages))
            for partition, messages in batches.items()
            if messages
        }
        try:
            return {partition: await task for partition, task in tasks.items()}
        except TimeoutError:
            raise KafkaTimeoutError("no acknowledgement in time") from None
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _send_partition(self, topic: str, partition: int, messages: Sequence[Message]) -> int:
        end = 0
        rest = list(reversed(messages))
        while rest:
            batch = self._producer.create_batch()
            while rest:
                message = rest[-1]
                added = batch.append(
                    key=message.key,
                    value=message.value,
                    timestamp=message.timestamp_ms,
                    headers=message.headers,
                )
                if added is None:  # the batch is full
                    break
                rest.pop()
            delivery = await self._producer.send_batch(batch, topic, partition=partition)
            metadata = await asyncio.wait_for(delivery, self._timeout)
            end = metadata.offset + 1
        return end
