"""The producer that keeps order."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from libs.messaging.cluster import Cluster
from libs.messaging.config import BrokerConfig
from libs.messaging.producer import MAX_BATCH_BYTES, Message, Producer
from libs.messaging.topics import ensure_topics
from libs.testing.servers import Broker
from libs.testing.topics import config_of

TOPIC = "letters"


def _messages(first: int, last: int, size: int = 10) -> list[Message]:
    return [
        Message(key=b"k", value=str(number).rjust(size).encode(), headers=[("h", b"v")])
        for number in range(first, last + 1)
    ]


async def _read(broker: BrokerConfig, partition: int, count: int) -> list[int]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(broker.prefix + TOPIC, partition)])
        found: list[int] = []
        async with asyncio.timeout(20):
            while len(found) < count:
                record = await consumer.getone()
                found.append(int(record.value or b""))
        return found
    finally:
        await consumer.stop()


async def test_messages_beyond_one_batch_arrive_in_order(broker_config: BrokerConfig) -> None:
    await ensure_topics(broker_config, [TOPIC])
    size = MAX_BATCH_BYTES // 5
    async with Producer(broker_config) as producer:
        ends = await producer.send(TOPIC, {0: _messages(1, 30, size), 2: _messages(1, 3), 1: []})
    assert ends.keys() == {0, 2}
    assert await _read(broker_config, 0, 30) == list(range(1, 31))
    assert await _read(broker_config, 2, 3) == [1, 2, 3]


async def test_a_stream_has_one_partition(broker_config: BrokerConfig) -> None:
    await ensure_topics(broker_config, [TOPIC])
    async with Producer(broker_config) as producer:
        partition_of = await producer.partitioner(TOPIC)
        found = {partition_of(f"stream-{n}".encode()) for n in range(50)}
        again = {partition_of(b"stream-7") for _ in range(5)}
    assert found == {0, 1, 2}
    assert len(again) == 1


async def test_topics_are_made_once_and_left_alone(broker_config: BrokerConfig) -> None:
    await ensure_topics(broker_config, [TOPIC, "others"])
    async with Producer(broker_config) as producer:
        await producer.send(TOPIC, {0: _messages(1, 1)})
    await ensure_topics(broker_config, [TOPIC])
    assert await _read(broker_config, 0, 1) == [1]


async def test_without_a_broker_sending_fails_in_time_and_the_next_producer_works(
    fresh_broker: Broker,
) -> None:
    broker = config_of(fresh_broker)
    await ensure_topics(broker, [TOPIC])
    async with Producer(broker) as producer:
        await producer.send(TOPIC, {0: _messages(1, 2)})
        await asyncio.to_thread(fresh_broker.pause)
        with pytest.raises(KafkaError):
            await producer.send(TOPIC, {0: _messages(3, 4)})
    with pytest.raises(KafkaError):
        async with Producer(broker):
            pass
    await asyncio.to_thread(fresh_broker.resume)
    async with Producer(broker) as producer:
        await producer.send(TOPIC, {0: _messages(3, 4)})
    found = await _read(broker, 0, 4)
    assert found[:2] == [1, 2]
    assert found[-2:] == [3, 4]


async def test_a_wiped_broker_is_another_cluster_with_lower_ends(fresh_broker: Broker) -> None:
    broker = config_of(fresh_broker)
    await ensure_topics(broker, [TOPIC])
    async with Producer(broker) as producer, Cluster(broker) as cluster:
        ends = await producer.send(TOPIC, {0: _messages(1, 2), 1: _messages(1, 1)})
        found = await cluster.end_offsets(TOPIC, ends)
        assert all(found[partition] >= end for partition, end in ends.items())
        before = await cluster.cluster_id()
    await asyncio.to_thread(fresh_broker.wipe)
    await ensure_topics(broker, [TOPIC])
    async with Cluster(broker) as cluster:
        assert await cluster.cluster_id() != before
        assert await cluster.end_offsets(TOPIC, [0, 1]) == {0: 0, 1: 0}


async def test_asking_about_a_missing_topic_does_not_make_it(broker_config: BrokerConfig) -> None:
    async with Producer(replace(broker_config, request_timeout_ms=2_000)) as producer:
        with pytest.raises((KafkaError, TimeoutError)):
            await producer.partitioner(TOPIC)
        await ensure_topics(broker_config, [TOPIC])
        partition_of = await producer.partitioner(TOPIC)
        numbers = {partition_of(str(number).encode()) for number in range(100)}
    assert numbers == set(range(broker_config.partitions))
