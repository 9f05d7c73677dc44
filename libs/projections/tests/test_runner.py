"""The projection runner against a real PostgreSQL and a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.chassis.provision import ServiceUrls
from libs.contracts.envelope import Cursor, Envelope
from libs.contracts.event import Event, encode
from libs.messaging.config import BrokerConfig
from libs.messaging.producer import Message, Producer
from libs.messaging.topics import ensure_topics
from libs.projections.checkpoints import Fenced
from libs.projections.limits import Limits
from libs.projections.reader import Poisoned, Reader, Received, reactor
from libs.projections.runner import Runner
from libs.testing.servers import Broker, PostgresServer
from libs.testing.serving import until
from libs.testing.spine import Counted, Muttered, apply_tally, tally
from libs.testing.topics import Publisher, config_of

EngineOf = Callable[[str], AsyncEngine]


@asynccontextmanager
async def running(*runners: Runner) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(runner.run(stop)) for runner in runners]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)


async def numbers(engine: AsyncEngine) -> dict[UUID, list[int]]:
    async with engine.begin() as connection:
        rows = await connection.exec_driver_sql("SELECT who, numbers FROM tally")
        return {row.who: row.numbers for row in rows}


async def letters(engine: AsyncEngine) -> list[Any]:
    async with engine.begin() as connection:
        rows = await connection.exec_driver_sql(
            'SELECT event_id, error, type, attempts, value FROM dead_letters ORDER BY "offset"'
        )
        return list(rows)


async def applied(
    engine: AsyncEngine, expected: dict[UUID, list[int]], timeout: float = 30
) -> None:
    async def same() -> bool:
        return await numbers(engine) == expected

    await until(same, timeout=timeout, what="every number to be applied once, in order")


def counted(who: UUID, first: int, last: int) -> list[Event]:
    return [Counted(who=who, number=number) for number in range(first, last + 1)]


def runner_of(
    engine: AsyncEngine, broker: BrokerConfig, reader: Reader | None = None, **more: Any
) -> Runner:
    return Runner(reader or tally(), engine=engine, broker=broker, **more)


async def test_events_are_applied_once_and_in_order(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine = engine_of(spine.worker)
    people = [uuid4() for _ in range(5)]
    publisher = Publisher(broker_config, "spine.events")
    async with running(runner_of(engine, broker_config)):
        for start in (1, 21):
            for who in people:
                await publisher.publish(counted(who, start, start + 19), stream=str(who))
        await applied(engine, {who: list(range(1, 41)) for who in people})


async def test_a_restarted_reader_goes_on_where_its_rows_say(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    publisher = Publisher(broker_config, "spine.events")
    for first in (1, 11, 21):
        async with running(runner_of(engine, broker_config)):
            await publisher.publish(counted(who, first, first + 9), stream="s")
            await applied(engine, {who: list(range(1, first + 10))})


async def test_a_relays_repeats_are_passed_over(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    publisher = Publisher(broker_config, "spine.events")
    async with running(runner_of(engine, broker_config)):
        await publisher.publish(counted(who, 1, 5), stream="s")
        again = Publisher(broker_config, "spine.events")  # the same cursors, from the beginning
        await again.publish(counted(who, 1, 8), stream="s")
        await applied(engine, {who: list(range(1, 9))})


async def test_types_nobody_asked_for_are_not_decoded(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    publisher = Publisher(broker_config, "spine.events")
    [envelope] = await publisher.publish([Muttered(who=who)], stream="s")
    await publisher.send([(replace(envelope, cursor=Cursor(100, 2)), b"\xff not JSON")])
    publisher._position = 2
    await publisher.publish(counted(who, 1, 1), stream="s")
    async with running(runner_of(engine, broker_config)):
        await applied(engine, {who: [1]})
    assert await letters(engine) == []


async def test_the_place_is_written_down_where_nothing_concerned_the_reader(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    publisher = Publisher(broker_config, "spine.events")

    async def place() -> int:
        async with engine.connect() as connection:
            found = await connection.execute(text("SELECT max(next_offset) FROM checkpoints"))
            return int(found.scalar_one() or 0)

    async with running(runner_of(engine, broker_config)):
        await publisher.publish([Muttered(who=who)] * 3, stream="s")
        await until(lambda: _is(place, 3), what="the place to be written down while it reads on")
        await publisher.publish([*counted(who, 1, 2), Muttered(who=who)], stream="s")
        await applied(engine, {who: [1, 2]})
        await until(lambda: _is(place, 6), what="the place behind the last of them")
    async with running(runner_of(engine, broker_config)):
        await publisher.publish(counted(who, 3, 3), stream="s")
        await applied(engine, {who: [1, 2, 3]})


async def _is(ask: Callable[[], Awaitable[int]], expected: int) -> bool:
    return await ask() == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda e, d: (e, None), "no value"),
        (lambda e, d: (e, b"\xff\xfe"), "breaks its contract"),
        (lambda e, d: (e, b'{"who": "no uuid", "number": 1}'), "who: uuid_parsing"),
        (lambda e, d: (e, b"[" * 100_000), "breaks its contract"),
        (lambda e, d: (e, b'{"number": 5}' + b" " * 1_000_000), "who: missing"),
    ],
)
async def test_a_message_that_breaks_its_contract_is_set_aside_and_the_rest_goes_on(
    spine: ServiceUrls,
    engine_of: EngineOf,
    broker_config: BrokerConfig,
    change: Callable[[Envelope, bytes], tuple[Envelope, bytes | None]],
    reason: str,
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    publisher = Publisher(broker_config, "spine.events")
    [last] = await publisher.publish(counted(who, 1, 1), stream="s")
    bad = replace(last, id=uuid4(), cursor=Cursor(100, 2))
    envelope, data = change(bad, encode(Counted(who=who, number=2)))
    await publisher.send([(envelope, data)])
    publisher._position = 2
    await publisher.publish(counted(who, 3, 3), stream="s")
    async with running(runner_of(engine, broker_config)):
        await applied(engine, {who: [1, 3]})
    [letter] = await letters(engine)
    assert letter.event_id == bad.id
    assert reason in letter.error
    assert letter.value == data


async def test_an_unknown_version_is_set_aside_by_a_reader_of_every_type(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    publisher = Publisher(broker_config, "spine.events")
    [last] = await publisher.publish(counted(who, 1, 1), stream="s")
    await publisher.send(
        [(replace(last, id=uuid4(), type="spine.counted.v9", cursor=Cursor(100, 2)), b"{}")]
    )
    everything = replace(tally(), types=None)
    async with running(runner_of(engine, broker_config, everything)):
        await applied(engine, {who: [1]})
        await until(lambda: letters(engine))
    [letter] = await letters(engine)
    assert "no contract" in letter.error
    assert letter.type == "spine.counted.v9"


async def test_a_message_that_is_none_of_ours_is_set_aside(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    await ensure_topics(broker_config, ["spine.events"])
    async with Producer(broker_config) as producer:
        partition = (await producer.partitioner("spine.events"))(b"s")
        for headers in ([], [("rk_cursor", b"one:two x")], [("rk_cursor", b"1:1 0:0")]):
            message = Message(key=b"s", value=b"\x00", headers=headers)
            await producer.send("spine.events", {partition: [message]})
    await Publisher(broker_config, "spine.events").publish(counted(who, 1, 2), stream="s")
    everything = replace(tally(), types=None)
    async with running(runner_of(engine, broker_config, everything)):
        await applied(engine, {who: [1, 2]})
    assert len(await letters(engine)) == 3


async def test_a_poisoned_batch_is_bisected_until_only_the_poison_is_left(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    events = counted(who, 1, 60)
    for place in (0, 17, 59):
        events[place] = Counted(who=who, number=5_000_000)  # breaks the table's own constraint
    async with running(runner_of(engine, broker_config)):
        await Publisher(broker_config, "spine.events").publish(events, stream="s")
        await applied(engine, {who: [n for n in range(1, 61) if n not in {1, 18, 60}]})
    found = await letters(engine)
    assert len(found) == 3
    assert all("CheckViolation" in letter.error and "small" in letter.error for letter in found)


async def test_apply_may_name_the_poison_itself(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    async def picky(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
        refused = {
            item.envelope.id: "odd numbers belong to another"
            for item in batch
            if isinstance(item.event, Counted) and item.event.number % 2
        }
        if refused:
            raise Poisoned(refused)
        await apply_tally(connection, batch)

    engine, who = engine_of(spine.worker), uuid4()
    async with running(runner_of(engine, broker_config, replace(tally(), apply=picky))):
        await Publisher(broker_config, "spine.events").publish(counted(who, 1, 6), stream="s")
        await applied(engine, {who: [2, 4, 6]})
    assert {letter.error for letter in await letters(engine)} == {"odd numbers belong to another"}


async def test_beyond_the_limit_the_partition_stops_and_drops_nothing(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    poison: list[Event] = [Counted(who=who, number=5_000_000) for _ in range(20)]
    publisher = Publisher(broker_config, "spine.events")
    await publisher.publish([*counted(who, 1, 2), *poison, *counted(who, 3, 4)], stream="s")
    runner = runner_of(engine, broker_config, limits=Limits(consecutive=5))

    async def stopped() -> str | None:
        async with engine.begin() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT stopped_reason FROM checkpoints WHERE stopped_reason IS NOT NULL"
            )
            return rows.scalar_one_or_none()

    async def release() -> None:
        async with engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE checkpoints SET stopped_reason = NULL")

    for round_ in range(1, 5):
        async with running(runner):
            if round_ < 4:
                await until(stopped, what="the partition to stop")
                assert await numbers(engine) == {who: [1, 2]}
                assert len(await letters(engine)) == 5 * round_
                await release()
            else:
                await applied(engine, {who: [1, 2, 3, 4]})
    assert len(await letters(engine)) == 20


async def test_two_instances_share_the_partitions_and_survive_joining_and_leaving(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine = engine_of(spine.worker)
    people = [uuid4() for _ in range(6)]
    publisher = Publisher(broker_config, "spine.events")
    done = 0

    async def publish_some() -> None:
        nonlocal done
        for who in people:
            await publisher.publish(counted(who, done + 1, done + 10), stream=str(who))
        done += 10

    async with running(runner_of(engine, broker_config)):
        for _ in range(3):
            await publish_some()
            async with running(runner_of(engine, broker_config)):
                await publish_some()
                await applied(engine, {who: list(range(1, done + 1)) for who in people}, 60)


async def test_a_stopped_instance_that_wakes_up_is_fenced(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    """The first instance is frozen inside `apply`; the checkpoint moves under it meanwhile."""
    engine, who = engine_of(spine.worker), uuid4()
    entered, resume = asyncio.Event(), asyncio.Event()
    calls = 0

    async def freezing(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            entered.set()
            await resume.wait()
        await apply_tally(connection, batch)

    await Publisher(broker_config, "spine.events").publish(counted(who, 1, 3), stream="s")
    async with running(runner_of(engine, broker_config, replace(tally(), apply=freezing))):
        await entered.wait()
        async with engine.begin() as connection:  # what another instance would have committed
            await connection.exec_driver_sql(
                "UPDATE checkpoints SET next_offset = 3, xid = 100, position = 3"
                " WHERE reader = 'spine.tally'"
            )
            await connection.exec_driver_sql(
                "INSERT INTO tally VALUES (%(who)s, 6, '{1,2,3}')", {"who": who}
            )
        resume.set()
        await until(lambda: calls >= 1)
        await applied(engine, {who: [1, 2, 3]})
    assert await numbers(engine) == {who: [1, 2, 3]}


async def test_lost_group_offsets_change_nothing(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    publisher = Publisher(broker_config, "spine.events")
    async with running(runner_of(engine, broker_config)):
        await publisher.publish(counted(who, 1, 5), stream="s")
        await applied(engine, {who: list(range(1, 6))})
    # The same checkpoints under a group the broker has never heard of.
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE checkpoints SET reader = 'spine.other'")
    async with running(runner_of(engine, broker_config, tally("spine.other"))):
        await publisher.publish(counted(who, 6, 7), stream="s")
        await applied(engine, {who: list(range(1, 8))})


async def test_the_database_is_waited_for_and_nothing_is_lost_or_doubled(
    fresh_spine: ServiceUrls,
    fresh_postgres: PostgresServer,
    engine_of: EngineOf,
    broker_config: BrokerConfig,
) -> None:
    engine, who = engine_of(fresh_spine.worker), uuid4()
    publisher = Publisher(broker_config, "spine.events")
    async with running(runner_of(engine, broker_config)):
        await publisher.publish(counted(who, 1, 5), stream="s")
        await applied(engine, {who: list(range(1, 6))})
        await asyncio.to_thread(fresh_postgres.kill)
        await publisher.publish(counted(who, 6, 10), stream="s")
        await asyncio.to_thread(fresh_postgres.start)
        await engine.dispose()
        await applied(engine, {who: list(range(1, 11))}, 60)
    assert await letters(engine) == []


async def test_a_wiped_and_refed_topic_is_read_on_without_loss_or_repeat(
    spine: ServiceUrls, engine_of: EngineOf, fresh_broker: Broker
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    broker = config_of(fresh_broker)
    async with running(runner_of(engine, broker, stall_seconds=8.0)):
        await Publisher(broker, "spine.events").publish(counted(who, 1, 30), stream="s")
        await applied(engine, {who: list(range(1, 31))})
        await asyncio.to_thread(fresh_broker.wipe)
        # A relay that has not noticed yet goes on; then one feeds all again, longer than before.
        early = Publisher(broker, "spine.events")
        early._position = 30
        partition_previous = Cursor(100, 30)
        await ensure_topics(broker, ["spine.events"])
        async with Producer(broker) as producer:
            number = (await producer.partitioner("spine.events"))(b"s")
        early._previous[number] = partition_previous
        await early.publish(counted(who, 31, 31), stream="s")
        await Publisher(broker, "spine.events").publish(counted(who, 1, 40), stream="s")
        await applied(engine, {who: list(range(1, 41))}, 60)


async def test_a_hole_is_never_stepped_over(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    """A new reader on a topic whose beginning is missing waits for the re-feed."""
    engine, who = engine_of(spine.worker), uuid4()
    late = Publisher(broker_config, "spine.events")
    await ensure_topics(broker_config, ["spine.events"])
    async with Producer(broker_config) as producer:
        number = (await producer.partitioner("spine.events"))(b"s")
    late._position = 3
    late._previous[number] = Cursor(100, 3)
    await late.publish(counted(who, 4, 6), stream="s")
    async with running(runner_of(engine, broker_config)):
        again = Publisher(broker_config, "spine.events")
        await again.publish(counted(who, 1, 7), stream="s")
        await applied(engine, {who: list(range(1, 8))})


async def test_a_reactor_acts_once_per_event_for_ever(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()

    async def handle(connection: AsyncConnection, received: Received[Event]) -> None:
        await apply_tally(connection, [received])

    reader = reactor("spine.reactor", topics=["spine.events"], events=[Counted], handle=handle)
    publisher = Publisher(broker_config, "spine.events")
    ids = [uuid4() for _ in range(3)]
    async with running(runner_of(engine, broker_config, reader)):
        await publisher.publish(counted(who, 1, 3), stream="s", ids=ids)
        # Redriven or replayed: the same events at new cursors.
        await publisher.publish(counted(who, 1, 3), stream="s", ids=ids)
        await publisher.publish(counted(who, 4, 4), stream="s")
        await applied(engine, {who: [1, 2, 3, 4]})


async def test_a_consumer_that_gets_nothing_while_lag_grows_is_made_anew(
    spine: ServiceUrls,
    engine_of: EngineOf,
    broker_config: BrokerConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    deaf: list[AIOKafkaConsumer] = []
    getmany = AIOKafkaConsumer.getmany

    async def hard_of_hearing(consumer: AIOKafkaConsumer, **options: Any) -> Any:
        if not deaf:
            deaf.append(consumer)
        if consumer is deaf[0]:
            await asyncio.sleep(0.05)
            return {}
        return await getmany(consumer, **options)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", hard_of_hearing)
    async with running(runner_of(engine, broker_config, stall_seconds=4.0)):
        publisher = Publisher(broker_config, "spine.events")
        for number in (1, 2):  # two batches: the local broker reports the end one batch late
            await publisher.publish(counted(who, number, number), stream="s")
        await applied(engine, {who: [1, 2]})
    assert deaf


async def test_a_batch_that_meets_a_deadlock_is_tried_again_whole(
    spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine, who = engine_of(spine.worker), uuid4()
    tries = 0

    async def unlucky(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await connection.exec_driver_sql(
                "DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$"
            )
        await apply_tally(connection, batch)

    async with running(runner_of(engine, broker_config, replace(tally(), apply=unlucky))):
        await Publisher(broker_config, "spine.events").publish(counted(who, 1, 3), stream="s")
        await applied(engine, {who: [1, 2, 3]})
    assert await letters(engine) == []


@pytest.mark.parametrize("fault", ["deadlock", "fenced"])
async def test_what_was_sifted_behind_a_batch_that_failed_is_fetched_again(
    spine: ServiceUrls,
    engine_of: EngineOf,
    broker_config: BrokerConfig,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    """Small batches of one partition, of which each third fails while the next one is sifted."""
    monkeypatch.setattr("libs.projections.runner.MAX_RECORDS", 10)
    engine, who = engine_of(spine.worker), uuid4()
    tries = 0

    async def unlucky(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
        nonlocal tries
        tries += 1
        await apply_tally(connection, batch)
        if tries % 3:
            return
        if fault == "deadlock":
            await connection.exec_driver_sql(
                "DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$"
            )
        raise Fenced

    await Publisher(broker_config, "spine.events").publish(counted(who, 1, 100), stream="s")
    async with running(runner_of(engine, broker_config, replace(tally(), apply=unlucky))):
        await applied(engine, {who: list(range(1, 101))})
    assert tries > 10
    assert await letters(engine) == []
