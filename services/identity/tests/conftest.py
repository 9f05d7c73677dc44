"""The real application on a fresh database, over HTTP."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.entry import Service
from libs.chassis.provision import ServiceUrls
from libs.messaging.config import BrokerConfig
from libs.testing.clock import FakeClock
from libs.testing.databases import DatabaseOf
from libs.testing.identity import People, service_settings
from libs.testing.serving import serve
from services.identity.settings import IdentitySettings
from services.identity.wiring import wire

PASSWORD = "correct horse battery"
OPERATOR = "operator@example.org"
# Nothing of identity's own talks to a broker in these tests.
NO_BROKER = BrokerConfig(bootstrap_servers="127.0.0.1:1")


def seed(byte: int) -> str:
    """A signing key of the tests."""
    return base64.b64encode(bytes([byte]) * 32).decode()


@dataclass
class App:
    """Identity under test and the clock it goes by."""

    service: Service
    http: httpx.AsyncClient
    clock: FakeClock
    urls: ServiceUrls
    worker: AsyncEngine

    async def register(self, email: str, password: str = PASSWORD) -> UUID:
        answer = await self.http.post(
            "/v1/auth/register", json={"email": email, "password": password}
        )
        assert answer.status_code == 201, answer.text
        return UUID(answer.json()["user_id"])

    async def login(
        self, email: str, password: str = PASSWORD, *, address: str | None = None
    ) -> httpx.Response:
        return await self.http.post(
            "/v1/auth/login",
            json={"email": email, "password": password},
            headers={"x-forwarded-for": address or str(IPv4Address(uuid4().int % 2**32))},
        )

    async def tokens(self, email: str) -> dict[str, str]:
        """What a successful login answers."""
        answer = await self.login(email)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, str] = answer.json()
        return tokens

    async def person(self, email: str) -> tuple[UUID, dict[str, str]]:
        """Someone registered and signed in: their id and their header."""
        user_id = await self.register(email)
        tokens = await self.tokens(email)
        return user_id, {"authorization": f"Bearer {tokens['access_token']}"}

    async def workspace(self, who: dict[str, str], name: str = "Team") -> str:
        answer = await self.http.post("/v1/workspaces", json={"name": name}, headers=who)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def events(self) -> list[tuple[str, dict[str, object]]]:
        """All that was recorded: type and data."""
        async with self.worker.connect() as connection:
            rows = await connection.execute(
                text("SELECT type, data FROM events ORDER BY xid, position")
            )
            return [(row.type, row.data) for row in rows]


@pytest.fixture
async def app(
    database_of: DatabaseOf, people: People, engine_of: Callable[[str], AsyncEngine]
) -> AsyncIterator[App]:
    urls = database_of("identity")
    common = service_settings(urls, people, NO_BROKER) | {"ROOKERY_TRUSTED_PROXIES": 1}
    settings = IdentitySettings(
        **common,
        signing_keys=(seed(1), seed(2)),
        pepper="a pepper of the tests that is long enough",
        operator_emails=(OPERATOR,),
        bcrypt_cost=4,
    )
    # Tokens are verified against the machine's time, so this clock starts there.
    clock = FakeClock(datetime.now(UTC))
    service = wire(settings, clock=clock)
    async with serve(service.app) as url, httpx.AsyncClient(base_url=url, timeout=30) as http:
        yield App(service, http, clock, urls, engine_of(urls.worker))
    assert service.close is not None
    await service.close()
