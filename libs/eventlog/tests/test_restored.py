"""A topic that holds more than its log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.provision import ServiceUrls
from libs.eventlog.relay import Relay
from libs.eventlog.restored import TopicAhead
from libs.eventlog.source import domain_source
from libs.eventlog.tests.test_relay import once_in_order, relaying, topic, write
from libs.messaging.config import BrokerConfig
from libs.testing.servers import Postgres
from libs.testing.serving import until

EngineOf = Callable[[str], AsyncEngine]
SOURCE = domain_source("spine")
WHO, OTHER = uuid4(), uuid4()


def superuser(postgres: Postgres, spine: ServiceUrls) -> psycopg.Connection[tuple[object, ...]]:
    url = make_url(postgres.url).set(database=make_url(spine.owner).database)
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


async def relayed(spine: ServiceUrls, broker: BrokerConfig) -> None:
    """Let a relay lead until its cursor is at the end of the log."""

    def done() -> bool:
        with psycopg.connect(spine.worker) as connection:
            found = connection.execute(
                "SELECT FROM relay_cursors WHERE (xid, position) >="
                " (SELECT max(xid)::text::bigint, max(position) FROM events)"
            )
            return found.rowcount == 1

    async with relaying(Relay(SOURCE, database_url=spine.worker, broker=broker)):
        await until(done, timeout=30, what="all relayed")


async def test_a_relay_refuses_a_topic_with_events_that_its_log_does_not_hold(
    postgres: Postgres, spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine = engine_of(spine.worker)
    await write(engine, WHO, [1, 2, 3])
    await relayed(spine, broker_config)
    with superuser(postgres, spine) as connection:
        connection.execute("CREATE TABLE before AS SELECT * FROM relay_cursors")
    # Two transactions: of the first, which is gone, nothing is last in its partition.
    await write(engine, WHO, [4])
    await write(engine, WHO, [5])
    await relayed(spine, broker_config)
    with superuser(postgres, spine) as connection:
        connection.execute("DELETE FROM events WHERE version = 4")
        connection.execute("DELETE FROM relay_cursors")
        connection.execute("INSERT INTO relay_cursors SELECT * FROM before")
    relay = Relay(SOURCE, database_url=spine.worker, broker=broker_config)
    with pytest.raises(TopicAhead, match=r"spine\.events holds 1 or more events"):
        await asyncio.wait_for(relay.run(asyncio.Event()), 30)


async def test_the_same_event_at_another_place_is_not_the_one_on_the_topic(
    postgres: Postgres, spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    await write(engine_of(spine.worker), WHO, [1])
    await relayed(spine, broker_config)
    with superuser(postgres, spine) as connection:
        # Restored to before it came, then delivered again by the platform.
        connection.execute("UPDATE events SET xid = pg_current_xact_id()")
        connection.execute("DELETE FROM relay_cursors")
    relay = Relay(SOURCE, database_url=spine.worker, broker=broker_config)
    with pytest.raises(TopicAhead):
        await asyncio.wait_for(relay.run(asyncio.Event()), 30)


async def test_a_relay_whose_cursor_is_behind_what_it_sent_goes_on(
    postgres: Postgres, spine: ServiceUrls, engine_of: EngineOf, broker_config: BrokerConfig
) -> None:
    engine = engine_of(spine.worker)
    await write(engine, WHO, [1, 2, 3])
    await relayed(spine, broker_config)
    with superuser(postgres, spine) as connection:
        connection.execute("DELETE FROM relay_cursors")  # killed before it could move it
    await write(engine, WHO, [4])
    await write(engine, OTHER, [1])
    await relayed(spine, broker_config)
    taken = once_in_order(await topic(broker_config, expect=5))
    assert taken == {WHO: [1, 2, 3, 4], OTHER: [1]}
