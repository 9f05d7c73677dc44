"""Each broker does what `Broker` promises; the kind follows ROOKERY_TEST_BROKER."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from libs.testing.servers import Broker, EmbeddedBroker, ExistingBroker, PortBusy, wire


@contextlib.asynccontextmanager
async def _admin(broker: Broker) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _send_and_read(broker: Broker, topic: str) -> bytes:
    async with _admin(broker) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        await producer.send_and_wait(topic, b"hello")
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest"
    )
    async with consumer:
        message = await asyncio.wait_for(consumer.getone(), 20)
    assert message.value is not None
    return bytes(message.value)


async def _topics(broker: Broker) -> set[str]:
    async with _admin(broker) as admin:
        return set(await admin.list_topics())


async def _cluster(broker: Broker) -> str:
    async with _admin(broker) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


async def test_a_message_goes_through(fresh_broker: Broker) -> None:
    assert await _send_and_read(fresh_broker, "first") == b"hello"


async def test_killed_and_restarted_it_serves_on_the_same_port(fresh_broker: Broker) -> None:
    bootstrap = fresh_broker.bootstrap
    await _send_and_read(fresh_broker, "kept")
    pid = fresh_broker.pid
    await asyncio.to_thread(fresh_broker.kill)
    assert not psutil.pid_exists(pid)
    await asyncio.to_thread(fresh_broker.start)
    assert fresh_broker.bootstrap == bootstrap
    survived = "kept" in await _topics(fresh_broker)
    assert survived == (fresh_broker.kind == "apache")


async def test_wiped_it_is_another_empty_cluster(fresh_broker: Broker) -> None:
    await _send_and_read(fresh_broker, "gone")
    before = await _cluster(fresh_broker)
    await asyncio.to_thread(fresh_broker.wipe)
    assert "gone" not in await _topics(fresh_broker)
    assert await _cluster(fresh_broker) != before


async def test_paused_it_says_nothing_and_resumed_it_answers(fresh_broker: Broker) -> None:
    fresh_broker.pause()
    assert not await asyncio.to_thread(wire.is_ready, fresh_broker.bootstrap)
    fresh_broker.resume()
    assert await asyncio.to_thread(wire.is_ready, fresh_broker.bootstrap)


def test_what_it_says_of_idempotence_is_what_the_broker_says(fresh_broker: Broker) -> None:
    assert wire.supports_idempotence(fresh_broker.bootstrap) == fresh_broker.supports_idempotence
    existing = ExistingBroker(fresh_broker.bootstrap)
    assert existing.supports_idempotence == fresh_broker.supports_idempotence


def test_a_busy_port_is_refused(broker: Broker, tmp_path: Path) -> None:
    port = int(broker.bootstrap.rsplit(":", 1)[1])
    with pytest.raises(PortBusy, match=f"port {port} is busy"):
        EmbeddedBroker(tmp_path / "log", port).start()
