"""The relay against a real PostgreSQL and a real broker."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.provision import ServiceUrls
from libs.contracts.envelope import BEGINNING, Cursor, Metadata, from_headers, read_cursor
from libs.eventlog.log import append
from libs.eventlog.relay import LEADING, Deposed, FutureTransactions, Relay
from libs.eventlog.relay import position as place
from libs.eventlog.source import Row, Untold, domain_source
from libs.messaging.config import BrokerConfig
from libs.messaging.producer import Message
from libs.messaging.topics import ensure_topics
from libs.testing.servers import Broker, PostgresServer
from libs.testing.serving import until
from libs.testing.spine import Counted
from libs.testing.topics import config_of

EngineOf = Callable[[str], AsyncEngine]
SOURCE = domain_source("spine")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def write(engine: AsyncEngine, who: UUID, numbers: list[int], *, hold: float = 0) -> None:
    """Append to the stream of `who` in one transaction, kept open for `hold` seconds."""
    async with engine.begin() as connection:
        await append(
            connection,
            f"who-{who}",
            expected_version=numbers[0] - 1,
            events=[Counted(who=who, number=number) for number in numbers],
            workspace_id=None,
            metadata=Metadata(),
            now=NOW,
        )
        if hold:
            await asyncio.sleep(hold)


@asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 15)


async def topic(broker: BrokerConfig, expect: int) -> list[Any]:
    """All messages, in order within each partition, once there are `expect` distinct events."""
    await ensure_topics(broker, ["spine.events"])
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        places = [
            TopicPartition(broker.prefix + "spine.events", number)
            for number in range(broker.partitions)
        ]
        consumer.assign(places)
        found: list[Any] = []

        async def enough() -> bool:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found.extend(records)
            return len({dict(record.headers)["ce_id"] for record in found}) >= expect

        await until(enough, timeout=30, what=f"{expect} events on the topic")
        return found
    finally:
        await consumer.stop()


def once_in_order(records: list[Any]) -> dict[UUID, list[int]]:
    """What a reader that fences by cursor takes in, checking the chain as it goes."""
    last: dict[int, Cursor] = defaultdict(lambda: BEGINNING)
    taken: dict[UUID, list[int]] = defaultdict(list)
    for record in records:
        own, previous = read_cursor(dict(record.headers)["rk_cursor"])
        if own <= last[record.partition]:
            continue
        assert previous <= last[record.partition], "a hole in the partition"
        last[record.partition] = own
        event = Counted.model_validate_json(record.value)
        taken[event.who].append(event.number)
    return taken


def worker_relay(spine: ServiceUrls, broker: BrokerConfig, source: Any = SOURCE) -> Relay:
    return Relay(source, database_url=spine.worker, broker=broker)


async def test_a_message_says_all_of_its_event(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    who, workspace = uuid4(), uuid4()
    metadata = Metadata(
        actor_id=who,
        ip="192.0.2.1",
        user_agent="test",
        correlation_id="request-1",
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )
    async with engine_of(spine.worker).begin() as connection:
        [recorded] = await append(
            connection,
            f"who-{who}",
            expected_version=0,
            events=[Counted(who=who, number=1)],
            workspace_id=workspace,
            metadata=metadata,
            now=NOW,
        )
    async with relaying(worker_relay(spine, broker_config)):
        [record] = await topic(broker_config, 1)
    envelope = from_headers(record.headers)
    assert (envelope.id, envelope.type, envelope.time) == (recorded.id, "spine.counted.v1", NOW)
    assert (envelope.stream, envelope.workspace_id) == (f"who-{who}", workspace)
    assert (envelope.metadata, envelope.source) == (metadata, "/spine")
    assert record.key == f"who-{who}".encode()


async def test_no_event_of_concurrent_slow_and_rolled_back_writers_is_lost_or_out_of_order(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine = engine_of(spine.worker)
    rng = random.Random(20260302)
    people = [uuid4() for _ in range(8)]
    expected: dict[UUID, list[int]] = {}

    async def writer(who: UUID) -> None:
        number = 0
        for _ in range(40):
            size = rng.randint(1, 4)
            if rng.random() < 0.2:  # takes positions and a transaction id, leaves nothing
                async with engine.connect() as connection:
                    await append(
                        connection,
                        f"who-{who}",
                        expected_version=number,
                        events=[Counted(who=who, number=-1)],
                        workspace_id=None,
                        metadata=Metadata(),
                        now=NOW,
                    )
                    await connection.rollback()
                continue
            numbers = list(range(number + 1, number + size + 1))
            await write(engine, who, numbers, hold=rng.choice([0, 0, 0.002, 0.03]))
            number += size
        expected[who] = list(range(1, number + 1))

    async with relaying(worker_relay(spine, broker_config)):
        await asyncio.gather(*(writer(who) for who in people))
        records = await topic(broker_config, sum(len(numbers) for numbers in expected.values()))
    assert once_in_order(records) == expected


async def test_the_relay_waits_behind_a_slow_transaction_and_then_loses_nothing(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine = engine_of(spine.worker)
    slow, quick = uuid4(), uuid4()
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slow_writer() -> None:
        async with engine.begin() as connection:
            await append(
                connection,
                f"who-{slow}",
                expected_version=0,
                events=[Counted(who=slow, number=1)],
                workspace_id=None,
                metadata=Metadata(),
                now=NOW,
            )
            begun.set()
            await finish.wait()

    relay = worker_relay(spine, broker_config)
    async with relaying(relay):
        await until(lambda: LEADING.labels("spine")._value.get() == 1)
        task = asyncio.create_task(slow_writer())
        await begun.wait()
        await write(engine, quick, [1, 2, 3])
        async with engine.begin() as connection:
            held = await connection.exec_driver_sql("SELECT xid, position FROM relay_cursors")
            assert held.one() == (0, 0)
        finish.set()
        await task
        records = await topic(broker_config, 4)
    assert once_in_order(records) == {slow: [1], quick: [1, 2, 3]}


async def test_a_relay_killed_between_acknowledgement_and_cursor_repeats_but_loses_nothing(
    spine: ServiceUrls,
    engine_of: EngineOf,
    broker_config: BrokerConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    who = uuid4()
    await write(engine_of(spine.worker), who, list(range(1, 51)))

    class Killed(BaseException):
        pass

    async def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(place, "save", die)
        with pytest.raises(Killed):
            await worker_relay(spine, broker_config).run(asyncio.Event())
    await write(engine_of(spine.worker), who, [51])
    async with relaying(worker_relay(spine, broker_config)):
        records = await topic(broker_config, 51)
    assert len(records) > 51
    assert once_in_order(records) == {who: list(range(1, 52))}


async def test_a_second_relay_stands_by_and_takes_over(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    who = uuid4()
    engine = engine_of(spine.worker)
    first_stop, second_stop = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(worker_relay(spine, broker_config).run(first_stop))
    await write(engine, who, [1, 2])
    await topic(broker_config, 2)
    second = asyncio.create_task(worker_relay(spine, broker_config).run(second_stop))
    first_stop.set()
    await first
    await write(engine, who, [3])
    records = await topic(broker_config, 3)
    second_stop.set()
    await second
    assert once_in_order(records) == {who: [1, 2, 3]}


async def test_a_relay_whose_cursor_another_moved_is_fenced(
    spine: ServiceUrls,
) -> None:
    async with await psycopg.AsyncConnection.connect(spine.worker, autocommit=True) as connection:
        await connection.execute("INSERT INTO relay_cursors (relay, xid) VALUES ('spine', 7)")
        moved = place.Position(Cursor(5, 5), None, {}, {})
        with pytest.raises(Deposed):
            await place.save(connection, "spine", BEGINNING, moved)


async def test_an_emptied_broker_is_fed_again_from_the_table(
    spine: ServiceUrls, engine_of: EngineOf, fresh_broker: Broker
) -> None:
    who = uuid4()
    engine = engine_of(spine.worker)
    broker = config_of(fresh_broker)
    async with relaying(worker_relay(spine, broker)):
        await write(engine, who, [1, 2, 3])
        await topic(broker, 3)
        await asyncio.to_thread(fresh_broker.wipe)
        await write(engine, who, [4])
        records = await until(
            lambda: _complete(broker, who, 4), timeout=60, what="the topic to be whole again"
        )
    assert once_in_order(records)[who] == [1, 2, 3, 4]


async def _complete(broker: BrokerConfig, who: UUID, count: int) -> list[Any]:
    try:
        records = await asyncio.wait_for(topic(broker, count), 10)
    except (AssertionError, TimeoutError):
        return []
    # A reader passes over what stands behind a hole until the repeat arrives.
    chained: list[Any] = []
    last: dict[int, Cursor] = defaultdict(lambda: BEGINNING)
    for record in records:
        own, previous = read_cursor(dict(record.headers)["rk_cursor"])
        if previous <= last[record.partition] < own:
            last[record.partition] = own
            chained.append(record)
    return chained if len(chained) == count else []


async def test_a_row_that_cannot_be_told_is_set_aside_and_the_rest_goes_on(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    def picky(row: Row) -> Message | None:
        event = Counted.model_validate_json(row.data)
        if event.number == 2:
            raise Untold("twos are not understood")
        if event.number == 3:
            raise KeyError("a secret value")
        return None if event.number == 4 else SOURCE.to_message(row)

    who = uuid4()
    await write(engine_of(spine.worker), who, [1, 2, 3, 4, 5])
    async with relaying(worker_relay(spine, broker_config, replace(SOURCE, to_message=picky))):
        records = await topic(broker_config, 2)
    assert once_in_order(records) == {who: [1, 5]}
    async with engine_of(spine.worker).begin() as connection:
        rows = await connection.exec_driver_sql(
            'SELECT reader, error FROM dead_letters ORDER BY "offset"'
        )
        assert [tuple(row) for row in rows] == [
            ("spine.translate", "twos are not understood"),
            ("spine.translate", "KeyError in the translation"),
        ]


async def test_xids_from_the_future_are_refused_and_the_named_command_mends_it(
    fresh_spine: ServiceUrls,
    fresh_postgres: PostgresServer,
    engine_of: EngineOf,
    broker_config: BrokerConfig,
) -> None:
    who = uuid4()
    engine = engine_of(fresh_spine.worker)
    await write(engine, who, [1])
    with psycopg.connect(
        fresh_postgres.url.rsplit("/", 1)[0] + "/" + _database(fresh_spine)
    ) as owner:
        owner.execute("UPDATE events SET xid = (xid::text::bigint + 5000000000)::text::xid8")
    relay = worker_relay(fresh_spine, broker_config)
    with pytest.raises(FutureTransactions, match=r"pg_resetwal --epoch=(\d+)") as refusal:
        await relay.run(asyncio.Event())
    epoch = str(refusal.value).split("--epoch=")[1].split(" ")[0]
    await engine.dispose()
    await asyncio.to_thread(fresh_postgres.stop)
    await asyncio.to_thread(fresh_postgres.tool, "pg_resetwal", f"--epoch={epoch}")
    await asyncio.to_thread(fresh_postgres.start)
    await write(engine, who, [2])
    async with relaying(relay):
        assert once_in_order(await topic(broker_config, 2)) == {who: [1, 2]}


def _database(urls: ServiceUrls) -> str:
    return urls.owner.rsplit("/", 1)[1]
