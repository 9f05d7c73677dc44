"""What every `wiring.py` begins with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
from fastapi import FastAPI
from sqlalchemy import text

from libs.chassis import members
from libs.chassis.access import Gate
from libs.chassis.clock import Clock, SystemClock
from libs.chassis.database import Database, create_engine
from libs.chassis.http import create_app
from libs.chassis.settings import ServiceSettings
from libs.chassis.tokens import ServiceTokens, TokenVerifier
from libs.contracts.identity import Role
from libs.eventlog.notify import Notifier
from libs.eventlog.relay import Relay
from libs.eventlog.source import Source
from libs.projections.reader import Reader
from libs.projections.runner import Runner

RoleOf = Callable[..., Awaitable[Role | None]]


class Foundation:
    """A service's engines, HTTP client, gate and notifier, made from its settings.

    `requests` is the database under the app role (row-level security), `worker` the engine under
    the worker role. Build it inside the running event loop; `close` it at the end.
    """

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        *,
        clock: Clock | None = None,
        role_of: RoleOf = members.role_of,
    ) -> None:
        self.name = name
        self.settings = settings
        self.clock = clock or SystemClock()
        self.worker = create_engine(
            settings.worker_database_url.get_secret_value(),
            name=f"{name} worker",
            pool_size=settings.pool_size,
        )
        self.notifier = Notifier(self.worker)
        self.requests = Database(
            create_engine(
                settings.database_url.get_secret_value(),
                name=f"{name} requests",
                pool_size=settings.pool_size,
            ),
            self.notifier,
        )
        self.http = httpx.AsyncClient(timeout=httpx.Timeout(10, connect=3))
        self.service_tokens = ServiceTokens(settings.service_secret, self.clock)
        self.gate = Gate(
            database=self.requests,
            verifier=TokenVerifier(
                jwks_url=settings.jwks_url,
                issuer=settings.issuer,
                audience=settings.audience,
                http=self.http,
            ),
            service_name=name,
            service_tokens=self.service_tokens,
            role_of=role_of,
        )

    def app(self) -> FastAPI:
        """The web application with the gate in place; ready when the database answers."""
        app = create_app(
            self.name, ready=self._ready, trusted_proxies=self.settings.trusted_proxies
        )
        app.state.gate = self.gate
        return app

    def relay(self, source: Source) -> Relay:
        """The relay of this service's log."""
        return Relay(
            source,
            database_url=self.settings.worker_database_url.get_secret_value(),
            broker=self.settings.broker,
        )

    def runner(self, reader: Reader) -> Runner:
        """A runner that writes under the worker role."""
        return Runner(reader, engine=self.worker, broker=self.settings.broker)

    async def _ready(self) -> None:
        async with self.requests.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close pools and client. Idempotent."""
        await self.http.aclose()
        await self.notifier.close()
        await self.requests.close()
        await self.worker.dispose()
