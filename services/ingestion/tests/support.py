"""Ingestion running for a test: served over HTTP, with its database and a clock that stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.entry import Service
from libs.chassis.partitions import ensure_partitions, month_of
from libs.chassis.provision import ServiceUrls
from libs.chassis.tokens import ServiceTokens
from libs.contracts.accounts import AccountConnected, AccountDisconnected, PlatformName
from libs.contracts.envelope import Cursor, Envelope
from libs.contracts.event import Event
from libs.eventlog.notify import Notifier
from libs.platforms.signing import base64_standard, base64_url, hexadecimal, sign
from libs.projections.reader import Received
from libs.testing.clock import FakeClock
from services.ingestion.leases import Leases
from services.ingestion.poller import Poller
from services.ingestion.projections import routes
from services.ingestion.settings import IngestionSettings
from services.ingestion.wiring import platforms_of

# The time that the published vectors were signed at.
SIGNED_AT = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
SECRETS = {
    "instagram": "ig-app-secret",
    "tiktok": "tt-client-secret",
    "linkedin": "li-client-secret",
    "x": "x-consumer-secret",
}


@dataclass(frozen=True)
class Account:
    """A connected account."""

    id: UUID
    workspace_id: UUID
    platform: PlatformName
    user: str


@dataclass
class Running:
    """A service under test and hands to work it with."""

    service: Service
    url: str
    http: httpx.AsyncClient
    urls: ServiceUrls
    worker: AsyncEngine
    clock: FakeClock
    notifier: Notifier
    _position: int = field(default=0)

    async def send(
        self, platform: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST a webhook; signed well unless `headers` are given."""
        if headers is None:
            headers = signed(platform, body, self.clock.now())
        return await self.http.post(
            f"{self.url}/webhooks/{platform}",
            content=body,
            headers={"content-type": "application/json", **headers},
        )

    async def connect(
        self, platform: PlatformName, user: str, *, account: Account | None = None
    ) -> Account:
        """Make a platform account known as connected, through the projection."""
        account = account or Account(uuid4(), uuid4(), platform, user)
        await self.apply(connected(account), workspace_id=account.workspace_id)
        return account

    async def disconnect(self, account: Account) -> None:
        event = AccountDisconnected(
            account_id=account.id,
            workspace_id=account.workspace_id,
            platform=account.platform,
            reason="by-member",
        )
        await self.apply(event, workspace_id=account.workspace_id)

    async def apply(
        self, event: Event, *, workspace_id: UUID | None, cursor: Cursor | None = None
    ) -> None:
        """One event of accounts, through the routes projection."""
        self._position += 1
        envelope = Envelope(
            id=uuid4(),
            type=event.type,
            source="/accounts",
            time=self.clock.now(),
            stream="account",
            workspace_id=workspace_id,
            cursor=cursor or Cursor(100, self._position),
        )
        async with self.worker.begin() as connection:
            await routes.apply(connection, [Received(event, envelope)])

    def poller(self, accounts_url: str, *, at_once: int) -> Poller:
        """A poller of the test's own."""
        settings = self.service.settings
        assert isinstance(settings, IngestionSettings)
        # These tokens live a minute of real time, whatever our clock says.
        leases = Leases(self.http, ServiceTokens(settings.service_secret), accounts_url)
        return Poller(
            self.worker,
            platforms=platforms_of(settings),
            leases=leases,
            http=self.http,
            notifier=self.notifier,
            clock=self.clock,
            at_once=at_once,
        )

    async def rows(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        """What the worker role reads."""
        return await query(self.urls.worker, statement, *arguments)

    async def events(self) -> list[dict[str, Any]]:
        """The log, in its order."""
        return await self.rows("SELECT * FROM events ORDER BY xid, position")

    async def quarantine(self) -> list[dict[str, Any]]:
        return await self.rows("SELECT * FROM quarantine ORDER BY received_at, id")


async def query(url: str, statement: str, *arguments: Any) -> list[dict[str, Any]]:
    """Rows of one statement, under the role of `url`."""
    async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as connection:
        result = await connection.execute(statement.encode(), arguments)
        return await result.fetchall() if result.description else []


async def ensure_month(worker: AsyncEngine, moment: datetime) -> None:
    """The partition of a month that the migration did not make."""
    async with worker.begin() as connection:
        await ensure_partitions(connection, "events", [month_of(moment)])


def signed(
    platform: str, body: bytes, now: datetime = SIGNED_AT, secret: str | None = None
) -> dict[str, str]:
    """The header by which the platform signs a body."""
    key = SecretStr(secret if secret is not None else SECRETS[platform])
    match platform:
        case "instagram":
            return {"x-hub-signature-256": "sha256=" + hexadecimal(sign(key, body))}
        case "tiktok":
            time = str(int(now.timestamp()))
            digest = hexadecimal(sign(key, time.encode() + b"." + body))
            return {"tiktok-signature": f"t={time},s={digest}"}
        case "linkedin":
            return {"x-li-signature": hexadecimal(sign(key, b"hmacsha256=" + body))}
        case _:
            digest = base64_standard(sign(key, body))
            return {"x-twitter-webhooks-signature": "sha256=" + digest}


def signed_request(payload: dict[str, Any], secret: str = SECRETS["instagram"]) -> str:
    """Instagram's form field."""
    encoded = base64_url(orjson.dumps({"algorithm": "HMAC-SHA256", **payload}))
    return base64_url(sign(SecretStr(secret), encoded.encode())) + "." + encoded


def comment(number: int | str, text: str = "hi") -> dict[str, Any]:
    """One change of an Instagram entry."""
    value = {"id": f"c{number}", "from": {"id": "9", "username": "ana"}, "text": text}
    return {"field": "comments", "value": value}


def instagram(*entries: tuple[str, Sequence[dict[str, Any]]]) -> bytes:
    """A body with these changes of these accounts."""
    return orjson.dumps(
        {
            "object": "instagram",
            "entry": [
                {"id": user, "time": 1767225600, "changes": list(changes)}
                for user, changes in entries
            ],
        }
    )


def x_follow(user: str, number: int | str) -> bytes:
    """Someone follows an X account."""
    return orjson.dumps(
        {
            "data": {
                "event_uuid": str(number),
                "filter": {"user_id": user},
                "event_type": "follow.follow",
                "payload": {
                    "source": {"data": {"id": f"f{number}", "username": f"follower{number}"}},
                    "target": {"data": {"id": user, "username": "us"}},
                },
            }
        }
    )


def connected(account: Account) -> AccountConnected:
    """The event that makes an account known."""
    return AccountConnected(
        account_id=account.id,
        workspace_id=account.workspace_id,
        platform=account.platform,
        handle="rookery.demo",
        platform_user_id=account.user,
        status="active",
        scopes=("all",),
    )
