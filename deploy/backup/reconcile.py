"""Make the broker agree with a restored server.

The restored logs are a new history: whatever the topics hold beyond them never happened, and the
transaction ids and positions of those events will be given out again. So the topics are removed
and made anew, the relays feed them from their tables, and each reader passes over what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError, for_code
from psycopg import sql
from sqlalchemy.engine import make_url

from deploy.backup.archive import databases
from deploy.backup.checks import readers_behind
from deploy.backup.settings import BackupError
from libs.contracts.envelope import Cursor
from libs.eventlog.restored import count_strangers
from libs.messaging.config import BrokerConfig
from libs.messaging.topics import ensure_topics

ENOUGH = 1_000_000


@dataclass(frozen=True)
class Ahead:
    """How many events a topic holds that its restored log does not."""

    topic: str
    events: int


@dataclass
class _Found:
    topics: dict[str, str] = field(default_factory=dict)  # topic to database
    readers: list[str] = field(default_factory=list)
    databases: list[str] = field(default_factory=list)


def reconcile(superuser_url: str, broker: BrokerConfig) -> list[str]:
    """Remove and make anew the topics of this server's logs, rewind, open the doors; blocks.

    Gives the topics' names. May be repeated, also after it was cut short. All services must be
    stopped. Raises BackupError, before anything is changed, when a service is still connected or a
    reader of this server is ahead of its log, and KafkaError when the broker is not there.
    """
    found = _look(superuser_url)
    if not found.topics:
        raise BackupError("This server has no log with a relay.")
    _refuse_while_in_use(superuser_url, found)
    behind = readers_behind(lambda name: psycopg.connect(_at(superuser_url, name)))
    if not behind.passed:
        raise BackupError(
            f"{behind.says}. The databases were not restored to the same moment, or services ran"
            " before this command: restore all of them again, together."
        )
    topics = sorted(found.topics)
    asyncio.run(_make_anew(broker, topics, found.readers))
    for name in found.databases:
        _rewind(_at(superuser_url, name))
    open_doors(superuser_url)
    return topics


def open_doors(superuser_url: str) -> None:
    """Let the services in again, which a restore keeps out (`RestoredServer.close_doors`)."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        for name in databases(connection):
            connection.execute(
                sql.SQL("ALTER DATABASE {} CONNECTION LIMIT -1").format(sql.Identifier(name))
            )


async def compare(urls: dict[str, str], broker: BrokerConfig) -> list[Ahead]:
    """How far each topic is ahead of its restored log; `urls` are databases by relay name."""
    found = []
    for relay, url in sorted(urls.items()):
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            row = await (
                await connection.execute(
                    "SELECT xid, position, partitions FROM relay_cursors WHERE relay = %s", [relay]
                )
            ).fetchone()
            if row is None:
                continue
            events = await count_strangers(
                connection,
                broker,
                table="events",
                topic=f"{relay}.events",
                cursor=Cursor(row[0], row[1]),
                ends={int(number): state["end"] for number, state in row[2].items()},
                enough=ENOUGH,
            )
        found.append(Ahead(f"{relay}.events", events))
    return found


def _look(superuser_url: str) -> _Found:
    found = _Found()
    with psycopg.connect(superuser_url) as connection:
        names = databases(connection)
    for name in names:
        with psycopg.connect(_at(superuser_url, name)) as connection:
            tables = {
                row[0]
                for row in connection.execute(
                    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                    " AND relname IN ('relay_cursors', 'checkpoints')"
                ).fetchall()
            }
            if tables:
                found.databases.append(name)
            if "relay_cursors" in tables:
                for [relay] in connection.execute("SELECT relay FROM relay_cursors").fetchall():
                    found.topics[f"{relay}.events"] = name
            if "checkpoints" in tables:
                found.readers += [
                    row[0] for row in connection.execute("SELECT DISTINCT reader FROM checkpoints")
                ]
    return found


def _refuse_while_in_use(superuser_url: str, found: _Found) -> None:
    with psycopg.connect(superuser_url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT usename || ' on ' || datname FROM pg_stat_activity"
            " WHERE datname = ANY(%s) AND NOT (SELECT rolsuper FROM pg_roles WHERE oid = usesysid)",
            [found.databases],
        ).fetchall()
    if rows:
        who = ", ".join(sorted(row[0] for row in rows))
        raise BackupError(f"Services are still connected ({who}). Stop all of them first.")


def _rewind(url: str) -> None:
    """Relays begin anew; readers look for their place from the topic's start. One transaction."""
    with psycopg.connect(url) as connection:
        for table, change in (
            (
                "relay_cursors",
                "xid = 0, position = 0, cluster_id = NULL, partitions = '{}', updated_at = now()",
            ),
            ("checkpoints", "next_offset = 0, updated_at = now()"),
        ):
            if connection.execute("SELECT to_regclass(%s)", [f"public.{table}"]).fetchone() != (
                None,
            ):
                connection.execute(f"UPDATE {table} SET {change}".encode())


async def _make_anew(broker: BrokerConfig, topics: Sequence[str], readers: Sequence[str]) -> None:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=broker.bootstrap_servers, request_timeout_ms=broker.request_timeout_ms
    )
    await admin.start()
    try:
        answer = await admin.delete_topics([broker.prefix + topic for topic in topics])
        for _, code in answer.topic_error_codes:  # type: ignore[attr-defined]
            error = for_code(code)
            if code and not issubclass(error, UnknownTopicOrPartitionError):
                raise error
        # A topic is marked first and removed a little later.
        async with asyncio.timeout(60):
            while {broker.prefix + topic for topic in topics} & set(await admin.list_topics()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
    await ensure_topics(broker, topics)


def _at(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)
