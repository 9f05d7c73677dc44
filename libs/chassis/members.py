"""A service's own copy of who is a member of which workspace, fed by identity's events."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.chassis.schema import grant, isolate
from libs.contracts.event import Event
from libs.contracts.identity import MemberAdded, MemberRemoved, MemberRoleChanged, Role
from libs.projections.arrays import texts, uuids
from libs.projections.reader import Reader, Received, projection

TOPIC = "identity.events"

_UPSERT = """
INSERT INTO members (workspace_id, user_id, role)
SELECT * FROM unnest(%(workspaces)b::uuid[], %(users)b::uuid[], %(roles)b::text[])
ON CONFLICT (workspace_id, user_id) DO UPDATE SET role = excluded.role
"""
_DELETE = """
DELETE FROM members WHERE (workspace_id, user_id) IN
  (SELECT * FROM unnest(%(workspaces)b::uuid[], %(users)b::uuid[]))
"""
_ROLE = text("SELECT role FROM members WHERE workspace_id = :workspace AND user_id = :user")


def members_v1(service: str) -> list[str]:
    """The table, for a service's migration."""
    return [
        """
        CREATE TABLE members (
          workspace_id uuid NOT NULL,
          user_id uuid NOT NULL,
          role varchar(32) NOT NULL CHECK (role IN ('owner', 'editor', 'analyst')),
          PRIMARY KEY (workspace_id, user_id)
        )
        """,
        *grant("members", service=service, app="SELECT", worker="SELECT, INSERT, UPDATE, DELETE"),
        *isolate("members", service=service),
    ]


async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """The last word on each membership in the batch wins."""
    last: dict[tuple[UUID, UUID], Role | None] = {}
    for received in batch:
        match received.event:
            case MemberAdded() | MemberRoleChanged() as event:
                last[event.workspace_id, event.user_id] = event.role
            case MemberRemoved() as event:
                last[event.workspace_id, event.user_id] = None
    kept = [(key, role) for key, role in last.items() if role is not None]
    gone = [key for key, role in last.items() if role is None]
    if kept:
        await connection.exec_driver_sql(
            _UPSERT,
            {
                "workspaces": uuids(key[0] for key, _ in kept),
                "users": uuids(key[1] for key, _ in kept),
                "roles": texts(role for _, role in kept),
            },
        )
    if gone:
        await connection.exec_driver_sql(
            _DELETE,
            {"workspaces": uuids(key[0] for key in gone), "users": uuids(key[1] for key in gone)},
        )


def members(service: str) -> Reader:
    """The projection, named `<service>.members`."""
    return projection(
        f"{service}.members",
        topics=[TOPIC],
        events=[MemberAdded, MemberRoleChanged, MemberRemoved],
        apply=apply,
        tables=["members"],
    )


async def role_of(connection: AsyncConnection, workspace_id: UUID, user_id: UUID) -> Role | None:
    """The person's role there, or None. The transaction's tenant must be that workspace."""
    row = (
        await connection.execute(_ROLE, {"workspace": workspace_id, "user": user_id})
    ).one_or_none()
    return None if row is None else row.role
