"""Does the topic hold events that the log does not? Then the log was restored to an earlier time.

The topic is a cache of the log, so it may be behind. It may be ahead as well: a relay that was
killed before it moved its cursor has sent events that it does not know it sent. Those are in the
log. Events that are not are of a history that no longer is; their transaction ids and positions
will be given out again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from libs.contracts.envelope import BadEnvelope, Cursor, cursor_header, read_cursor
from libs.messaging.closing import close
from libs.messaging.cluster import Cluster
from libs.messaging.config import BrokerConfig

_CHUNK = 1_000


class TopicAhead(Exception):
    """The topic holds events that are not in the log."""

    def __init__(self, table: str, topic: str, events: int) -> None:
        super().__init__(
            f"{topic} holds {events} or more events that {table} does not: the log was restored to"
            " an earlier time than the topic. New events would mix with those that are gone, so"
            " nothing is relayed. Stop all services, run 'python -m deploy.backup reconcile', start"
            " them again."
        )


@dataclass(frozen=True, slots=True)
class Message:
    """What a message says of itself."""

    cursor: Cursor
    event_id: UUID


async def refuse_topic_ahead(
    connection: psycopg.AsyncConnection[Any],
    broker: BrokerConfig,
    *,
    table: str,
    topic: str,
    cursor: Cursor,
    ends: Mapping[int, int],
) -> None:
    """Raise TopicAhead when the topic holds an event that `table` does not.

    `cursor` and `ends` are the relay's: only what stands behind them is looked at. Raises
    KafkaError when the broker does not answer in time.
    """
    strangers = await count_strangers(
        connection, broker, table=table, topic=topic, cursor=cursor, ends=ends, enough=1
    )
    if strangers:
        raise TopicAhead(table, topic, strangers)


async def count_strangers(
    connection: psycopg.AsyncConnection[Any],
    broker: BrokerConfig,
    *,
    table: str,
    topic: str,
    cursor: Cursor,
    ends: Mapping[int, int],
    enough: int,
) -> int:
    """How many events behind `cursor` the topic holds that `table` does not; stops at `enough`.

    Every message behind the cursor is compared, not the last one alone: a transaction with a
    smaller id may have committed later, and be gone where the one behind it is not.
    """
    found = 0
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=broker.request_timeout_ms,
        fetch_max_wait_ms=min(broker.fetch_wait_ms, 100),
    )
    timeout = broker.request_timeout_ms / 1000
    try:
        async with Cluster(broker) as cluster:
            partitions = await cluster.partitions(topic)
        async with asyncio.timeout(timeout):
            await consumer.start()
            places = await _places_behind(
                consumer, [TopicPartition(broker.prefix + topic, n) for n in partitions], ends
            )
        consumer.assign(places)
        for place in places:
            consumer.seek(place, ends.get(place.partition, 0))
        moved = time.monotonic()
        while places and found < enough:
            async with asyncio.timeout(timeout):
                fetched = await consumer.getmany(timeout_ms=100, max_records=_CHUNK)
                places = [place for place in places if not await _at_end(consumer, place)]
            records = [record for batch in fetched.values() for record in batch]
            if records:
                moved = time.monotonic()
            elif time.monotonic() - moved > timeout:
                # The local broker counts a batch that it failed to take in, and never gives it
                # out. One that does not answer at all raises here.
                async with asyncio.timeout(timeout):
                    await consumer.end_offsets(places)
                break
            messages = [
                message for message in map(_read, records) if message and message.cursor > cursor
            ]
            found += len(messages) - await _known(connection, table, messages)
    except TimeoutError:
        raise KafkaTimeoutError("the broker did not answer") from None
    finally:
        await close(consumer.stop(), 2)
    return found


async def _places_behind(
    consumer: AIOKafkaConsumer, places: Sequence[TopicPartition], ends: Mapping[int, int]
) -> list[TopicPartition]:
    """Those that hold more than was acknowledged to the relay."""
    found = await consumer.end_offsets(places) if places else {}
    return [place for place in places if found[place] > ends.get(place.partition, 0)]


async def _at_end(consumer: AIOKafkaConsumer, place: TopicPartition) -> bool:
    """Whether all has been given; the end is what a fetch said, which every broker says right."""
    end = consumer.highwater(place)
    return end is not None and await consumer.position(place) >= end


def _read(record: Any) -> Message | None:
    """None for what no relay of ours sent."""
    headers = dict(record.headers)
    try:
        own, _ = read_cursor(headers.get(cursor_header, b""))
        return Message(own, UUID(headers.get("ce_id", b"").decode()))
    except (BadEnvelope, ValueError):
        return None


async def _known(
    connection: psycopg.AsyncConnection[Any], table: str, messages: Sequence[Message]
) -> int:
    """How many of the messages are rows of the log: the same event at the same place.

    The id alone is not enough: an event that a platform sends again after a restore has the same
    id as before, and another place.
    """
    if not messages:
        return 0
    answer = await connection.execute(
        "SELECT count(*) FROM unnest(%s::text[], %s::bigint[], %s::uuid[]) AS m (xid, position, id)"
        f" WHERE EXISTS (SELECT FROM {table} e WHERE e.xid = m.xid::xid8"
        "  AND e.position = m.position AND e.id = m.id)",
        [
            [str(message.cursor.xid) for message in messages],
            [message.cursor.position for message in messages],
            [message.event_id for message in messages],
        ],
    )
    row = await answer.fetchone()
    return int(row[0]) if row is not None else 0
