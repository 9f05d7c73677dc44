"""A small service of the tests' own: a log, a relay's cursor, readers' tables and one read model."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.chassis.provision import ROLES, ServiceUrls, provision
from libs.contracts.event import Event
from libs.eventlog.schema import log_v1, relay_v1
from libs.projections.reader import Reader, Received, projection
from libs.projections.schema import readers_v1
from libs.testing.servers import Postgres, PostgresServer

SERVICE = "spine"


class Counted(Event, type="spine.counted.v1"):
    """The tests' event: `number` counts up within `who`."""

    who: UUID
    number: int


class Muttered(Event, type="spine.muttered.v1"):
    """One that nobody reads."""

    who: UUID


_TALLY = [
    """
    CREATE TABLE tally (
      who uuid PRIMARY KEY,
      total integer NOT NULL,
      numbers integer[] NOT NULL,
      CONSTRAINT small CHECK (total < 1000000)
    )
    """,
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON tally TO {SERVICE}_worker",
    f"GRANT SELECT ON checkpoints, dead_letters TO {SERVICE}_app",
]


def build_spine(superuser_url: str) -> ServiceUrls:
    """A fresh database with all the tables. Blocks."""
    urls = provision(
        superuser_url, SERVICE, dict.fromkeys(ROLES, "test"), database=f"spine_{uuid4().hex[:12]}"
    )
    with psycopg.connect(urls.owner) as connection:
        for statement in [
            *log_v1(SERVICE),
            *relay_v1(SERVICE),
            *readers_v1(SERVICE),
            *_TALLY,
        ]:
            connection.execute(statement.encode())
    return urls


@pytest.fixture
def spine(postgres: Postgres) -> ServiceUrls:
    """The spine's database on the run's server."""
    return build_spine(postgres.url)


@pytest.fixture
def fresh_spine(fresh_postgres: PostgresServer) -> ServiceUrls:
    """The spine's database on a server of the test's own."""
    return build_spine(fresh_postgres.url)


async def apply_tally(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """Appends each number: a repeat, a loss or a wrong order shows in the row."""
    for received in batch:
        event = received.event
        if isinstance(event, Counted):
            await connection.exec_driver_sql(
                "INSERT INTO tally VALUES (%(who)s, %(number)s, ARRAY[%(number)s::int])"
                " ON CONFLICT (who) DO UPDATE SET total = tally.total + excluded.total,"
                " numbers = tally.numbers || excluded.numbers",
                {"who": event.who, "number": event.number},
            )


def tally(name: str = "spine.tally", topic: str = "spine.events") -> Reader:
    """The read model."""
    return projection(name, topics=[topic], events=[Counted], apply=apply_tally, tables=["tally"])
