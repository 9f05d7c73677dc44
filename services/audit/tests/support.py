"""Events as they arrive, and the trail as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from libs.contracts.accounts import AccountConnected
from libs.contracts.envelope import Cursor, Envelope, Metadata
from libs.contracts.event import Event
from libs.projections.reader import Received
from services.audit.projections import trail

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_positions = count(1)


def received(
    event: Event,
    stream: str,
    *,
    workspace_id: UUID | None = None,
    minutes: int = 0,
    **metadata: Any,
) -> Received[Event]:
    """The event of that stream, `minutes` after NOW, with the request's metadata."""
    return Received(
        event,
        Envelope(
            id=uuid4(),
            type=event.type,
            source="/test",
            time=NOW + timedelta(minutes=minutes),
            stream=stream,
            workspace_id=workspace_id or getattr(event, "workspace_id", None),
            cursor=Cursor(1, next(_positions)),
            metadata=Metadata(**metadata),
        ),
    )


def connected(account_id: UUID, workspace_id: UUID) -> AccountConnected:
    """The event of an account's connection."""
    return AccountConnected(
        account_id=account_id,
        workspace_id=workspace_id,
        platform="instagram",
        handle="rook",
        platform_user_id="17",
        status="active",
        scopes=("a",),
    )


async def apply(worker: AsyncEngine, batch: Sequence[Received[Event]]) -> None:
    """One batch, committed."""
    async with worker.begin() as connection:
        await trail.apply(connection, batch)


async def entries(worker: AsyncEngine) -> list[dict[str, Any]]:
    """The whole trail, oldest first."""
    async with worker.connect() as connection:
        found = await connection.exec_driver_sql(
            'SELECT * FROM audit_logs ORDER BY "timestamp", id'
        )
        return [dict(row) for row in found.mappings()]
