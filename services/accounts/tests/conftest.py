"""The real application on a fresh database, against the real simulator, all over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.entry import Service
from libs.chassis.provision import ServiceUrls
from libs.chassis.tokens import ServiceTokens
from libs.contracts.accounts import PlatformName
from libs.contracts.identity import Role
from libs.messaging.config import BrokerConfig
from libs.simulator.app import create_app
from libs.simulator.settings import SimulatorSettings
from libs.testing.clock import FakeClock
from libs.testing.databases import DatabaseOf
from libs.testing.identity import People, service_settings
from libs.testing.serving import serve
from services.accounts.refresher import Refresher
from services.accounts.settings import AccountsSettings
from services.accounts.wiring import wire

PLATFORMS: tuple[PlatformName, ...] = ("instagram", "tiktok", "linkedin", "x")
APPLICATIONS: dict[str, Any] = {
    "instagram_client_id": "ig-app",
    "instagram_client_secret": "ig-app-secret",
    "tiktok_client_id": "ck_test",
    "tiktok_client_secret": "tt-client-secret",
    "linkedin_client_id": "li-client",
    "linkedin_client_secret": "li-client-secret",
    "x_client_id": "x-client",
    "x_client_secret": "x-client-secret",
}
PUBLIC_URL = "http://127.0.0.1:8080"
APP_URL = "https://app.example.org"
NO_BROKER = BrokerConfig(bootstrap_servers="127.0.0.1:1")


@dataclass
class Member:
    """Someone with a role in a workspace."""

    user_id: UUID
    workspace_id: UUID
    headers: dict[str, str]

    @property
    def accounts(self) -> str:
        return f"/v1/workspaces/{self.workspace_id}/accounts"


@dataclass
class App:
    """Accounts under test, the platforms it talks to, and the clock both go by."""

    service: Service
    http: httpx.AsyncClient
    sim: httpx.AsyncClient
    clock: FakeClock
    urls: ServiceUrls
    worker: AsyncEngine
    people: People
    secret: str

    @property
    def refresher(self) -> Refresher:
        refresher = self.service.app.state.parts.leases._refresher
        assert isinstance(refresher, Refresher)
        return refresher

    async def member(self, role: Role = "owner", workspace_id: UUID | None = None) -> Member:
        """A new person with that role, in a new workspace unless one is given."""
        user_id, workspace_id = uuid4(), workspace_id or uuid4()
        await self.sql(
            "INSERT INTO members VALUES (:workspace, :user, :role)",
            workspace=workspace_id,
            user=user_id,
            role=role,
        )
        return Member(user_id, workspace_id, self.people.bearer(user_id))

    async def control(self, path: str, body: dict[str, Any]) -> Any:
        answer = await self.sim.post(f"/_control/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def consent(self, mode: str = "allow", **choice: Any) -> None:
        """How the platforms' pages answer from now on."""
        await self.control("consent", {"mode": mode, **choice})

    async def handle(self, platform: PlatformName) -> str:
        """The demo person's."""
        found = await self.sim.get("/_control/people", params={"platform": platform})
        return str(found.json()[0]["handle"])

    async def begin(
        self, member: Member, platform: PlatformName, return_url: str | None = None
    ) -> str:
        answer = await self.http.post(
            f"{member.accounts}/{platform}/connect",
            json={"return_url": return_url} if return_url else None,
            headers=member.headers,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["authorize_url"])

    async def come_back(self, authorize_url: str) -> str:
        """Where the platform's page sends the person: our callback, as a path."""
        answer = await self.sim.get(authorize_url)
        assert answer.is_redirect, answer.text
        back = urlsplit(answer.headers["location"])
        assert f"{back.scheme}://{back.netloc}" == PUBLIC_URL
        return f"{back.path}?{back.query}"

    async def flow(
        self, member: Member, platform: PlatformName, return_url: str | None = None
    ) -> httpx.Response:
        """Connect, consent, come back."""
        url = await self.begin(member, platform, return_url)
        return await self.http.get(await self.come_back(url))

    async def connect(self, member: Member, platform: PlatformName) -> UUID:
        answer = await self.flow(member, platform)
        assert answer.status_code == 200, answer.text
        return UUID(answer.json()["account_id"])

    async def account(self, member: Member, account_id: UUID) -> dict[str, Any]:
        answer = await self.http.get(f"{member.accounts}/{account_id}", headers=member.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def lease(self, account_id: UUID) -> httpx.Response:
        return await self.internal(f"{account_id}/lease", {"purpose": "poll"})

    async def internal(self, path: str, body: dict[str, Any]) -> httpx.Response:
        service_token = ServiceTokens(self.service.settings.service_secret).issue(
            caller="ingestion", callee="accounts"
        )
        return await self.http.post(
            f"/internal/accounts/{path}",
            json=body,
            headers={"authorization": f"Bearer {service_token}"},
        )

    async def sql(self, statement: str, **values: Any) -> list[Any]:
        """Rows of a statement under the worker role, committed."""
        async with self.worker.begin() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        """All that was recorded: short type and data."""
        rows = await self.sql("SELECT type, data FROM events ORDER BY xid, position")
        return [(row.type.split(".")[1], row.data) for row in rows]


@pytest.fixture
def broker_of_app() -> BrokerConfig:
    """None; a module whose tests need one overrides this."""
    return NO_BROKER


@pytest.fixture
async def app(
    database_of: DatabaseOf,
    people: People,
    engine_of: Callable[[str], AsyncEngine],
    broker_of_app: BrokerConfig,
) -> AsyncIterator[App]:
    urls = database_of("accounts")
    # Service and access tokens are verified against the machine's time, so this clock starts there.
    clock = FakeClock(datetime.now(UTC))
    simulator = create_app(SimulatorSettings(crc_interval=0, challenge_interval=0), clock)
    key = Fernet.generate_key().decode()
    async with serve(simulator) as sim_url, httpx.AsyncClient(base_url=sim_url) as sim:
        settings = AccountsSettings(
            **service_settings(urls, people, broker_of_app),
            **APPLICATIONS,
            ROOKERY_FERNET_KEYS=key,
            ROOKERY_PUBLIC_URL=PUBLIC_URL,
            ROOKERY_SIMULATOR_URL=sim_url,
            return_origins=(APP_URL,),
        )
        service = wire(settings, clock=clock)
        async with serve(service.app) as url, httpx.AsyncClient(base_url=url, timeout=40) as http:
            app = App(service, http, sim, clock, urls, engine_of(urls.worker), people, key)
            await app.consent()
            yield app
        assert service.close is not None
        await service.close()
