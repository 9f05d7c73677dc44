"""What the trail is asked. Only owners of a workspace may."""

from __future__ import annotations

import datetime as dt
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from libs.chassis.access import Owner
from libs.chassis.http import StrictRoute
from libs.chassis.moments import Moment
from libs.chassis.pages import CursorParameter, Limit, Page, decode_cursor, page_of
from services.audit.projections.trail import newest_first

PROBLEM: dict[str, Any] = {"content": {"application/problem+json": {}}}


class AuditLog(BaseModel):
    """One thing that happened. `id` is that of the event it is the trace of."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    actor_id: UUID | None = Field(description="null where no person asked for it")
    action: str = Field(examples=["account.connected"])
    entity_type: str
    entity_id: UUID
    timestamp: dt.datetime
    ip_address: IPv4Address | IPv6Address | None
    user_agent: str | None
    service: str
    correlation_id: str | None
    details: dict[str, Any]


routes = APIRouter(
    prefix="/v1/workspaces/{ws}",
    tags=["audit"],
    route_class=StrictRoute,
    responses={403: PROBLEM, 404: PROBLEM, 422: PROBLEM},
)


@routes.get("/audit-logs", summary="Who did what, newest first")
async def audit_logs(
    access: Owner,
    *,
    action: Annotated[str | None, Query(max_length=64, examples=["account.connected"])] = None,
    actor: Annotated[UUID | None, Query(description="a person's id")] = None,
    since: Annotated[Moment | None, Query(description="included")] = None,
    until: Annotated[Moment | None, Query(description="not included")] = None,
    limit: Limit = 50,
    cursor: CursorParameter = None,
) -> Page[AuditLog]:
    """Every event of the workspace: what members did, and what platforms told of its accounts."""
    async with access.transaction() as connection:
        rows = await newest_first(
            connection,
            access.workspace_id,
            action=action,
            actor=actor,
            since=since,
            until=until,
            after=decode_cursor(cursor, datetime.fromisoformat, UUID) if cursor else None,
            limit=limit + 1,
        )
    page, following = page_of(rows, limit, lambda row: (row.timestamp, row.id))
    return Page(items=[AuditLog.model_validate(row) for row in page], next_cursor=following)
