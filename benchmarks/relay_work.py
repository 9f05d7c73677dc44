"""`python -m benchmarks.relay_work`: one process of the relay's measurement; its order on stdin."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import orjson
import psutil  # type: ignore[import-untyped]
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from libs.chassis.garbage import collect_rarely
from libs.eventlog.relay import RELAYED, Relay
from libs.eventlog.source import domain_source
from libs.messaging.config import BrokerConfig
from libs.messaging.producer import COMPRESSION, MAX_BATCH_BYTES, Message
from libs.messaging.topics import ensure_topics
from libs.platforms.tests.support import platforms
from services.ingestion.translate import source

LINGER_MS = 10


Work = Literal["relay", "send", "send_batch"]


@dataclass(frozen=True)
class Order:
    """What to do: relay the log at `database_url`, or send again what stands under `copy_of`.

    `broker` is BrokerConfig as a mapping, `servers` the root process ids of PostgreSQL and broker.
    """

    work: Work
    service: str
    broker: dict[str, Any]
    expect: int
    servers: dict[str, int]
    database_url: str = ""
    copy_of: str = ""


@dataclass(frozen=True)
class Result:
    """`cpu` is microseconds an event of each process; `payload_bytes` keys, values and headers."""

    per_second: float
    cpu: dict[str, float]
    payload_bytes: int = 0


class Stopwatch:
    """Time, and the processor time of this process and of the servers."""

    def __init__(self, servers: dict[str, int]) -> None:
        self._servers = servers
        self._began, self._cpu = time.perf_counter(), self._used()

    def result(self, events: int, payload_bytes: int = 0) -> Result:
        """For `events` since the start of the watch."""
        seconds = time.perf_counter() - self._began
        used = self._used()
        cpu = {name: (used[name] - self._cpu[name]) / events * 1e6 for name in used}
        return Result(events / seconds, cpu, payload_bytes)

    def _used(self) -> dict[str, float]:
        used = {"client": time.process_time()}
        for name, pid in self._servers.items():
            root = psutil.Process(pid)
            times = [one.cpu_times() for one in (root, *root.children(recursive=True))]
            used[name] = sum(one.user + one.system for one in times)
        return used


async def relay(order: Order, broker: BrokerConfig) -> Result:
    """From the first acknowledged batch to the last: connecting is not part of it."""
    log = source(platforms()) if order.service == "ingestion" else domain_source(order.service)
    relayed = RELAYED.labels(log.name)._value  # noqa: SLF001 - there is no other way to read it
    stop = asyncio.Event()
    task = asyncio.create_task(Relay(log, database_url=order.database_url, broker=broker).run(stop))

    async def until(count: int) -> int:
        while (found := int(relayed.get())) < count and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # a counter wakes nobody
        return found

    first = await until(1)
    watch = Stopwatch(order.servers)
    last = await until(order.expect)
    result = watch.result(last - first)
    stop.set()
    await task
    if last != order.expect:
        raise RuntimeError(f"{last} events relayed instead of {order.expect}")
    return result


async def send(order: Order, broker: BrokerConfig) -> Result:
    """The messages of an earlier topic, by the library's producer alone."""
    topic = f"{order.service}.events"
    records = await read(broker, order.copy_of + topic, order.expect)
    messages = [(record.partition, _message(record)) for record in records]
    payload_bytes = sum(_size(record) for record in records)
    del records
    await ensure_topics(broker, [topic])
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers,
        acks="all",
        enable_idempotence=broker.idempotence,
        compression_type=COMPRESSION,
        linger_ms=LINGER_MS,
        max_batch_size=MAX_BATCH_BYTES,
    )
    async with producer:
        name = broker.prefix + topic
        await producer.partitions_for(name)
        watch = Stopwatch(order.servers)
        if order.work == "send":
            await _one_by_one(producer, name, messages)
        else:
            await _in_batches(producer, name, messages, broker.partitions)
        result = watch.result(len(messages), payload_bytes)
    if len(await read(broker, name, order.expect)) != order.expect:
        raise RuntimeError("messages are missing")
    return result


async def _one_by_one(
    producer: AIOKafkaProducer, topic: str, messages: Sequence[tuple[int, Message]]
) -> None:
    for _, message in messages:
        await producer.send(
            topic,
            key=message.key,
            value=message.value,
            headers=message.headers,
            timestamp_ms=message.timestamp_ms,
        )
    await producer.flush()


async def _in_batches(
    producer: AIOKafkaProducer, topic: str, messages: Sequence[tuple[int, Message]], partitions: int
) -> None:
    async def fill(partition: int) -> None:
        mine = iter([message for number, message in messages if number == partition])
        message = next(mine, None)
        while message is not None:
            batch = producer.create_batch()
            while message is not None and batch.append(
                key=message.key,
                value=message.value,
                headers=message.headers,
                timestamp=message.timestamp_ms,
            ):
                message = next(mine, None)
            await producer.send_batch(batch, topic, partition=partition)

    await asyncio.gather(*(fill(partition) for partition in range(partitions)))
    await producer.flush()


async def read(broker: BrokerConfig, topic: str, expect: int) -> list[ConsumerRecord[bytes, bytes]]:
    """All messages of the topic; raises RuntimeError unless they are `expect` different events."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=200,
    )
    found: list[ConsumerRecord[bytes, bytes]] = []
    async with consumer:
        consumer.assign([TopicPartition(topic, number) for number in range(broker.partitions)])
        while records := await consumer.getmany(
            timeout_ms=1_000 if len(found) >= expect else 10_000
        ):
            for batch in records.values():
                found += batch
    distinct = {dict(message.headers)["ce_id"] for message in found}
    if not len(found) == len(distinct) == expect:
        raise RuntimeError(f"{len(found)} messages of {len(distinct)} events, not of {expect}")
    return found


def _message(record: ConsumerRecord[bytes, bytes]) -> Message:
    return Message(record.key or b"", record.value, list(record.headers), record.timestamp)


def _size(message: ConsumerRecord[bytes, bytes]) -> int:
    headers = sum(len(name) + len(value) for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers


def main() -> None:
    """Read an Order as JSON from stdin, print the Result as JSON."""
    order = Order(**orjson.loads(sys.stdin.read()))
    broker = BrokerConfig(**order.broker)
    work = relay if order.work == "relay" else send
    collect_rarely()  # as the services do
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(work(order, broker))
    sys.stdout.write(orjson.dumps(asdict(result)).decode())


if __name__ == "__main__":
    main()
