"""Topics of a test's own, and events put on them as an owner's relay would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from libs.contracts.envelope import BEGINNING, Cursor, Envelope, Metadata, to_headers
from libs.contracts.event import Event, encode
from libs.messaging.config import BrokerConfig
from libs.messaging.producer import Message, Producer
from libs.messaging.topics import ensure_topics
from libs.testing.servers import Broker, ExistingBroker


def config_of(broker: Broker | ExistingBroker, prefix: str = "") -> BrokerConfig:
    """How to reach `broker`, with small waits."""
    return BrokerConfig(
        bootstrap_servers=broker.bootstrap,
        idempotence=broker.supports_idempotence,
        partitions=3,
        replication=broker.replication,
        fetch_wait_ms=50,
        request_timeout_ms=5_000,
        # Apache Kafka refuses less than six seconds unless told otherwise.
        session_timeout_ms=2_000 if broker.kind == "embedded" else 6_000,
        prefix=prefix,
    )


@pytest.fixture
def broker_config(broker: Broker | ExistingBroker) -> BrokerConfig:
    """The run's broker, under a topic prefix that no other test uses."""
    return config_of(broker, f"t{uuid4().hex[:8]}.")


@dataclass
class Publisher:
    """Writes events to one topic with a correct cursor chain, as a relay does."""

    broker: BrokerConfig
    topic: str
    xid: int = 100
    _position: int = 0
    _previous: dict[int, Cursor] = field(default_factory=dict)

    async def publish(
        self,
        events: Sequence[Event],
        *,
        stream: str,
        workspace_id: UUID | None = None,
        metadata: Metadata | None = None,
        time: datetime | None = None,
        ids: Sequence[UUID] | None = None,
    ) -> list[Envelope]:
        """Send the events of one stream, acknowledged; gives their envelopes."""
        envelopes = [
            Envelope(
                id=ids[index] if ids else uuid4(),
                type=event.type,
                source="/test",
                time=time or datetime.now(UTC),
                stream=stream,
                workspace_id=workspace_id,
                cursor=self._next(),
                metadata=metadata or Metadata(),
            )
            for index, event in enumerate(events)
        ]
        await self.send(
            [(envelope, encode(e)) for envelope, e in zip(envelopes, events, strict=True)]
        )
        return envelopes

    async def send(self, pairs: Sequence[tuple[Envelope, bytes | None]]) -> None:
        """Send envelopes with the given data as they are, chained per partition."""
        await ensure_topics(self.broker, [self.topic])
        batches: dict[int, list[Message]] = {}
        async with Producer(self.broker) as producer:
            partition_of = await producer.partitioner(self.topic)
            for envelope, data in pairs:
                key = envelope.stream.encode()
                partition = partition_of(key)
                previous = self._previous.get(partition, BEGINNING)
                chained = replace(envelope, previous=previous)
                batches.setdefault(partition, []).append(
                    Message(key=key, value=data, headers=to_headers(chained))
                )
                self._previous[partition] = max(previous, envelope.cursor)
            await producer.send(self.topic, batches)

    def _next(self) -> Cursor:
        self._position += 1
        return Cursor(self.xid, self._position)


async def publish(
    broker: BrokerConfig,
    topic: str,
    events: Sequence[Event],
    *,
    stream: str,
    workspace_id: UUID | None = None,
    metadata: Metadata | None = None,
) -> list[Envelope]:
    """Once: see `Publisher`, which is what a test with several calls needs."""
    return await Publisher(broker, topic).publish(
        events, stream=stream, workspace_id=workspace_id, metadata=metadata
    )
