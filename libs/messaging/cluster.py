"""What the broker says of itself: which cluster it is and how far its topics reach."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaTimeoutError

from libs.messaging.closing import close
from libs.messaging.config import BrokerConfig


class Cluster:
    """A pair of small connections for questions; an async context manager.

    Every call raises KafkaError when the broker is not there or does not answer in time.
    """

    def __init__(self, broker: BrokerConfig) -> None:
        self._broker = broker
        self._timeout = broker.request_timeout_ms / 1000
        self._admin = AIOKafkaAdminClient(
            bootstrap_servers=broker.bootstrap_servers,
            request_timeout_ms=broker.request_timeout_ms,
        )
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=broker.bootstrap_servers,
            enable_auto_commit=False,
            request_timeout_ms=broker.request_timeout_ms,
        )

    async def __aenter__(self) -> Cluster:
        try:
            async with asyncio.timeout(self._timeout):
                await self._admin.start()
                await self._consumer.start()
        except TimeoutError:
            await self._close()
            raise KafkaTimeoutError("the broker did not answer") from None
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        await close(self._consumer.stop(), 2)
        await close(self._admin.close(), 2)

    async def cluster_id(self) -> str | None:
        """The cluster's own name; another one means another, or an emptied, broker."""
        async with asyncio.timeout(self._timeout):
            description = await self._admin.describe_cluster()
        name = description["cluster_id"]
        return None if name is None else str(name)

    async def partitions(self, topic: str) -> list[int]:
        """The topic's partitions; none where it does not exist."""
        async with asyncio.timeout(self._timeout):
            # Of all topics: some brokers make one that is asked for by name.
            described = await self._admin.describe_topics()
        name = self._broker.prefix + topic
        return sorted(
            int(partition["partition"])
            for found in described
            if found["topic"] == name
            for partition in found["partitions"]
        )

    async def end_offsets(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """An offset that each partition's end has reached at least.

        Apache Kafka answers with the end itself, the local broker with the last batch's first
        offset and one.
        """
        asked = [TopicPartition(self._broker.prefix + topic, number) for number in partitions]
        if not asked:
            return {}
        async with asyncio.timeout(self._timeout):
            found = await self._consumer.end_offsets(asked)
        return {place.partition: offset for place, offset in found.items()}
