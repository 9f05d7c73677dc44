"""Topics: made when missing, never changed in place."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from libs.messaging.config import BrokerConfig


async def ensure_topics(broker: BrokerConfig, topics: Sequence[str]) -> None:
    """Create those of `topics` (without the prefix) that do not exist. Idempotent.

    They keep what they hold: the owner's table is the truth, but a reader that was away for a
    month should find its place. Where there are copies, all but one must have a message before it
    counts as acknowledged. Raises aiokafka.errors.KafkaError.
    """
    # Whatever the brokers' own setting: aiokafka cannot read from a topic that has zstd for a
    # setting (its issue 1112), only what producers compressed so.
    configs = {"retention.ms": "-1", "compression.type": "producer"}
    if broker.replication > 1:
        configs["min.insync.replicas"] = str(broker.replication - 1)
    admin = AIOKafkaAdminClient(
        bootstrap_servers=broker.bootstrap_servers, request_timeout_ms=broker.request_timeout_ms
    )
    await admin.start()
    try:
        answer = await admin.create_topics(
            [
                NewTopic(
                    broker.prefix + topic,
                    num_partitions=broker.partitions,
                    replication_factor=broker.replication,
                    topic_configs=configs,
                )
                for topic in topics
            ]
        )
    finally:
        await admin.close()
    for _, code, *_ in answer.topic_errors:  # type: ignore[attr-defined]
        error = for_code(code)
        if code and not issubclass(error, TopicAlreadyExistsError):
            raise error
