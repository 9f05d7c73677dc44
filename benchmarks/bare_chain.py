"""The least that a way from HTTP to a query over a log and a broker takes: no services, no HTTP."""

from __future__ import annotations

import time
from types import TracebackType
from uuid import UUID, uuid4

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from psycopg.types.json import Jsonb
from sqlalchemy.engine import make_url

from libs.messaging.config import BrokerConfig
from libs.messaging.topics import ensure_topics

_TOPIC = "bare-chain"
_TABLES = """
CREATE TABLE log (id uuid PRIMARY KEY, payload jsonb NOT NULL);
CREATE TABLE seen (id uuid PRIMARY KEY, payload jsonb NOT NULL);
"""
_UPSERT = """
INSERT INTO seen VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET payload = excluded.payload
"""


class BareChain:
    """One program that commits, sends, is acknowledged, fetches, commits and asks."""

    def __init__(self, superuser_url: str, bootstrap: str) -> None:
        """Make nothing yet."""
        self._server = superuser_url
        self._bootstrap = bootstrap

    async def __aenter__(self) -> BareChain:
        async with await psycopg.AsyncConnection.connect(self._server, autocommit=True) as server:
            await server.execute("CREATE DATABASE bare_chain")
        url = make_url(self._server).set(database="bare_chain")
        self._database = await psycopg.AsyncConnection.connect(
            url.render_as_string(hide_password=False), autocommit=True
        )
        await self._database.execute(_TABLES)
        await ensure_topics(BrokerConfig(self._bootstrap, partitions=1), [_TOPIC])
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all")
        await self._producer.start()
        self._consumer = AIOKafkaConsumer(
            _TOPIC, bootstrap_servers=self._bootstrap, auto_offset_reset="earliest"
        )
        await self._consumer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._consumer.stop()
        await self._producer.stop()
        await self._database.close()

    async def probe(self) -> float:
        """Seconds that one event takes through all of it."""
        event, payload = uuid4(), {"username": "somebody", "id": "12345"}
        started = time.perf_counter()
        await self._database.execute("INSERT INTO log VALUES (%s, %s)", [event, Jsonb(payload)])
        await self._producer.send_and_wait(_TOPIC, key=event.bytes, value=b"{}")
        message = await self._consumer.getone()
        await self._database.execute(_UPSERT, [UUID(bytes=message.key), Jsonb(payload)])
        found = await self._database.execute("SELECT payload FROM seen WHERE id = %s", [event])
        if await found.fetchone() is None:
            raise RuntimeError("the bare chain lost an event")
        return time.perf_counter() - started
