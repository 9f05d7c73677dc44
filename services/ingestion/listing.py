"""Reading the log for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS = "id, workspace_id, social_account_id, platform, type, payload, received_at"
_DELETION = text(
    """
    SELECT EXISTS (
      SELECT FROM events
      WHERE type = 'data_deletion' AND payload ->> 'confirmation_code' = :code
    ) OR EXISTS (
      SELECT FROM quarantine
      WHERE type = 'data_deletion'
        AND convert_from(body, 'UTF8')::jsonb ->> 'confirmation_code' = :code
    )
    """
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows; None asks for no condition. `since` is included, `until` is not."""

    type: str | None = None
    platform: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_CONDITIONS = {
    "type": "type = :type",
    "platform": "platform = :platform",
    "since": "received_at >= :since",
    "until": "received_at < :until",
}


async def list_events(
    connection: AsyncConnection,
    workspace_id: UUID,
    wanted: Filter,
    *,
    after: tuple[Any, ...] | None,
    limit: int,
) -> Sequence[Any]:
    """Rows newest first, from the one behind `after` (`received_at`, `id`) on."""
    values = {name: value for name, value in asdict(wanted).items() if value is not None}
    conditions = ["workspace_id = :workspace", *(_CONDITIONS[name] for name in values)]
    if after is not None:
        conditions.append("(received_at, id) < (:after_time, :after_id)")
        values |= {"after_time": after[0], "after_id": after[1]}
    statement = text(
        f"SELECT {_COLUMNS} FROM events WHERE {' AND '.join(conditions)}"
        " ORDER BY received_at DESC, id DESC LIMIT :limit"
    )
    rows = await connection.execute(
        statement, {**values, "workspace": workspace_id, "limit": limit}
    )
    return rows.all()


async def deletion_known(connection: AsyncConnection, code: str) -> bool:
    """Whether a request for data deletion with this code came. Takes the worker role."""
    return bool((await connection.execute(_DELETION, {"code": code})).scalar_one())
