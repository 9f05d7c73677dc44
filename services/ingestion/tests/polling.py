"""What polls need around them: the simulated platforms and an accounts service that lends tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from fastapi import FastAPI, Request
from pydantic import SecretStr

from libs.chassis.errors import Conflict, NotFound, install
from libs.chassis.tokens import ServiceTokens
from libs.contracts.accounts import PlatformName
from libs.platforms.base import Grant
from libs.platforms.tests.simulated import Simulated
from libs.testing.identity import SERVICE_SECRET
from libs.testing.serving import serve
from services.ingestion.poller import Poller
from services.ingestion.tests.support import Account, Running


class AccountNeedsReview(Conflict):
    slug = "account-needs-review"


@dataclass
class Lender:
    """Stands in for accounts: lends what it was given, to whoever shows a service's token."""

    url: str
    tokens: dict[UUID, SecretStr] = field(default_factory=dict)
    needs_review: set[UUID] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    refusals: list[tuple[UUID, dict[str, object]]] = field(default_factory=list)


@asynccontextmanager
async def lending() -> AsyncIterator[Lender]:
    app = FastAPI()
    install(app)
    lender = Lender("")
    verifier = ServiceTokens(SecretStr(SERVICE_SECRET))

    @app.post("/internal/accounts/{account}/lease")
    async def lease(account: UUID, request: Request) -> dict[str, object]:
        bearer = request.headers["authorization"].removeprefix("Bearer ")
        lender.asked.append(verifier.verify(bearer, callee="accounts"))
        assert await request.json() == {"purpose": "poll"}
        if account in lender.needs_review:
            raise AccountNeedsReview
        if account not in lender.tokens:
            raise NotFound
        return {"access_token": lender.tokens[account].get_secret_value(), "token_version": 7}

    @app.post("/internal/accounts/{account}/refusals", status_code=204)
    async def refusal(account: UUID, request: Request) -> None:
        lender.refusals.append((account, await request.json()))

    async with serve(app) as url:
        lender.url = url
        yield lender


@dataclass
class Polling:
    """Ingestion, the simulator and the lender, at one time of day."""

    running: Running
    simulated: Simulated
    lender: Lender

    async def connect(self, platform: PlatformName, handle: str | None = None) -> Account:
        """A simulated person's account, consented to and connected."""
        grant: Grant = await self.simulated.grant(platform, handle)
        profile = await self.simulated.platforms[platform].profile(self.simulated.http, grant)
        account = await self.running.connect(platform, profile.platform_user_id)
        self.lender.tokens[account.id] = grant.access_token
        return account

    def poller(self, *, at_once: int = 4) -> Poller:
        """Another poller on the same database, as in another process."""
        return self.running.poller(self.lender.url, at_once=at_once)

    async def poll_all(self) -> None:
        """Whatever is due, until nothing is."""
        poller = self.poller()
        while await poller.start_due():
            await poller.finish()

    async def schedule(self) -> list[dict[str, object]]:
        return await self.running.rows("SELECT * FROM poll_schedule ORDER BY account_id, kind")
