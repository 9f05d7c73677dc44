"""A workspace with accounts, and events about them applied as the runner would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.entry import Service
from libs.chassis.members import apply as apply_members
from libs.chassis.provision import ServiceUrls
from libs.contracts.accounts import AccountConnected, PlatformName
from libs.contracts.envelope import Cursor, Envelope
from libs.contracts.event import Event
from libs.contracts.identity import MemberAdded, Role
from libs.contracts.ingestion import (
    AccountMetricsObserved,
    AudienceObserved,
    FollowerGained,
    FollowerLost,
    PostDeleted,
    PostMetricsObserved,
)
from libs.projections.reader import Reader, Received
from libs.testing.identity import People
from services.analytics.projections import accounts

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_positions = count(1)


def at(day: int, hour: int = 12, minute: int = 0, *, month: int = 3) -> datetime:
    """A moment of 2026, in UTC."""
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def received(
    event: Event, *, workspace_id: UUID | None = None, position: int | None = None
) -> Received[Event]:
    """The event as it would arrive; its envelope's workspace is the event's, or the given one."""
    return Received(
        event,
        Envelope(
            id=uuid4(),
            type=event.type,
            source="/test",
            time=NOW,
            stream=f"account-{getattr(event, 'account_id', uuid4())}",
            workspace_id=workspace_id or getattr(event, "workspace_id", None),
            cursor=Cursor(1, position or next(_positions)),
        ),
    )


@dataclass(frozen=True)
class Connected:
    """An account, and events about it."""

    workspace_id: UUID
    platform: PlatformName = "instagram"
    id: UUID = field(default_factory=uuid4)
    handle: str = "rook"

    def _about(self, occurred_at: datetime) -> dict[str, Any]:
        return {
            "account_id": self.id,
            "workspace_id": self.workspace_id,
            "platform": self.platform,
            "occurred_at": occurred_at,
        }

    def connected(self) -> AccountConnected:
        return AccountConnected(
            account_id=self.id,
            workspace_id=self.workspace_id,
            platform=self.platform,
            handle=self.handle,
            platform_user_id="1",
            status="active",
            scopes=(),
        )

    def metrics(self, moment: datetime, **numbers: Any) -> AccountMetricsObserved:
        return AccountMetricsObserved(**self._about(moment), **numbers)

    def post(self, moment: datetime, post_id: str = "p1", **more: Any) -> PostMetricsObserved:
        defaults = {"post_url": f"https://example.org/{post_id}", "posted_at": at(1, 8)}
        return PostMetricsObserved(
            **self._about(moment), platform_post_id=post_id, **{**defaults, **more}
        )

    def deleted(self, moment: datetime, post_id: str = "p1") -> PostDeleted:
        return PostDeleted(**self._about(moment), post_id=post_id)

    def gained(self, moment: datetime, user: str = "u1", **more: Any) -> FollowerGained:
        return FollowerGained(**self._about(moment), user_id=user, username=f"@{user}", **more)

    def lost(self, moment: datetime, user: str = "u1", **more: Any) -> FollowerLost:
        return FollowerLost(**self._about(moment), user_id=user, username=f"@{user}", **more)

    def audience(self, moment: datetime, **parts: Any) -> AudienceObserved:
        parts.setdefault("snapshot_date", moment.date())
        return AudienceObserved(**self._about(moment), **parts)


async def apply(
    worker: AsyncEngine, reader: Reader, items: Sequence[Event | Received[Event]]
) -> None:
    """One batch, committed."""
    batch = [item if isinstance(item, Received) else received(item) for item in items]
    async with worker.begin() as connection:
        await reader.apply(connection, batch)


async def rows(worker: AsyncEngine, statement: str) -> list[dict[str, Any]]:
    """What a query gives the worker role, which sees all workspaces."""
    async with worker.connect() as connection:
        return [dict(row) for row in (await connection.exec_driver_sql(statement)).mappings()]


@dataclass
class Running:
    """The service with its API served, and a workspace in it."""

    service: Service
    url: str
    http: httpx.AsyncClient
    urls: ServiceUrls
    worker: AsyncEngine
    people: People
    workspace_id: UUID = field(default_factory=uuid4)
    user_id: UUID = field(default_factory=uuid4)

    async def join(self, role: Role = "analyst", *, workspace_id: UUID | None = None) -> None:
        """Make the caller a member."""
        workspace_id = workspace_id or self.workspace_id
        event = MemberAdded(
            member_id=uuid4(), workspace_id=workspace_id, user_id=self.user_id, role=role
        )
        async with self.worker.begin() as connection:
            await apply_members(connection, [received(event)])

    async def connect(self, platform: PlatformName = "instagram", **more: Any) -> Connected:
        """An account of the workspace."""
        account = Connected(**{"workspace_id": self.workspace_id, "platform": platform, **more})
        await self.apply(accounts.READER, account.connected())
        return account

    async def apply(self, reader: Reader, *items: Event | Received[Event]) -> None:
        """One batch, committed."""
        await apply(self.worker, reader, items)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """`path` below the workspace, as the caller."""
        return await self.http.get(
            f"{self.url}/v1/workspaces/{self.workspace_id}{path}",
            params={name: str(value) for name, value in query.items()},
            headers=self.people.bearer(self.user_id),
        )

    async def read(self, path: str, **query: Any) -> Any:
        """The answer, which must be 200."""
        answer = await self.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def read_pages(self, path: str, **query: Any) -> list[Any]:
        """The items of all pages, in order."""
        page = await self.read(path, **query)
        items = list(page["items"])
        while page["next_cursor"] is not None:
            page = await self.read(path, **query, cursor=page["next_cursor"])
            items += page["items"]
        return items
