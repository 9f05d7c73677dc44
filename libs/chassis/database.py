"""A service's database under one of its roles, and the tenant of a transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
from prometheus_client import Gauge
from psycopg.rows import TupleRow
from sqlalchemy import QueuePool, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from libs.eventlog.log import APPENDED
from libs.eventlog.notify import Notifier

IN_USE = Gauge("rookery_database_connections_in_use", "Connections lent by a pool", ["pool"])
LIMIT = Gauge("rookery_database_connections_limit", "The most a pool may lend", ["pool"])

_SET = text(
    "SELECT set_config('rookery.workspace_id', :workspace, true),"
    " set_config('rookery.user_id', :user, true)"
)


def sqlalchemy_url(url: str) -> URL:
    """The psycopg form of a `postgresql://` URL."""
    return make_url(url).set(drivername="postgresql+psycopg")


def libpq_url(url: str) -> str:
    """The plain `postgresql://` form, for psycopg itself."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _arguments(name: str) -> dict[str, Any]:
    return {
        "application_name": name,
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 15_000,
        "options": "-c timezone=UTC -c statement_timeout=30s"
        # A process that is stopped with a transaction open must not hold its locks for long.
        " -c idle_in_transaction_session_timeout=10s",
    }


async def connect(url: str, *, name: str) -> psycopg.AsyncConnection[TupleRow]:
    """One connection outside of any pool, in autocommit, that fails as fast as an engine's.

    For a path where the layers of an engine would cost more than the statement. Raises
    psycopg.OperationalError.
    """
    return await psycopg.AsyncConnection.connect(
        libpq_url(url), autocommit=True, **_arguments(name)
    )


def create_engine(url: str, *, name: str, pool_size: int = 5, **kwargs: Any) -> AsyncEngine:
    """An engine that fails fast: a dead or stopped database is an error within seconds.

    `name` shows in `pg_stat_activity` and names the pool in the metrics. Does not connect yet.
    """
    engine = create_async_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=5,
        pool_pre_ping=False,
        connect_args=_arguments(name),
        **kwargs,
    )
    if isinstance(engine.pool, QueuePool):
        LIMIT.labels(name).set(2 * pool_size)
        # By the engine: its pool is another one after `dispose`.
        IN_USE.labels(name).set_function(lambda: _lent(engine))
    return engine


def _lent(engine: AsyncEngine) -> int:
    return engine.pool.checkedout() if isinstance(engine.pool, QueuePool) else 0


class Database:
    """Transactions of a tenant. Every statement inside sees only that workspace's rows."""

    def __init__(self, engine: AsyncEngine, notifier: Notifier | None = None) -> None:
        self.engine = engine
        self._notifier = notifier

    @asynccontextmanager
    async def transaction(
        self, *, workspace_id: UUID | None = None, user_id: UUID | None = None
    ) -> AsyncIterator[AsyncConnection]:
        """One transaction as the given tenant and person; commits at the end, rolls back on error.

        The setting lives and dies with the transaction, so it cannot leak through the pool.
        Without a workspace no tenant row is visible.
        """
        async with self.engine.begin() as connection:
            await connection.execute(
                _SET, {"workspace": str(workspace_id or ""), "user": str(user_id or "")}
            )
            connection.info.pop(APPENDED, None)
            yield connection
            appended = connection.info.pop(APPENDED, False)
        if appended and self._notifier is not None:
            self._notifier.wake()

    async def close(self) -> None:
        """Close the pool. Idempotent."""
        await self.engine.dispose()
