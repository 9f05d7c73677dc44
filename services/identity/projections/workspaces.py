"""The tables `workspaces` and `workspace_members`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.identity import (
    MemberAdded,
    MemberRemoved,
    MemberRoleChanged,
    Role,
    WorkspaceCreated,
    WorkspaceRenamed,
)
from libs.eventlog.log import Decider, Recorded
from services.identity.domain import workspaces
from services.identity.domain.workspaces import Workspace

_CREATE = text(
    "INSERT INTO workspaces (id, name, owner_id, created_at) VALUES (:id, :name, :owner, :at)"
)
_RENAME = text("UPDATE workspaces SET name = :name WHERE id = :id")
_ADD = text(
    "INSERT INTO workspace_members (id, workspace_id, user_id, role, joined_at)"
    " VALUES (:id, :workspace, :user, :role, :at)"
)
_CHANGE = text(
    "UPDATE workspace_members SET role = :role WHERE workspace_id = :workspace AND user_id = :user"
)
_REMOVE = text("DELETE FROM workspace_members WHERE workspace_id = :workspace AND user_id = :user")
# An owner who left or was demoted is followed by the one who has been a member for longest.
_SUCCEED = text(
    """
    UPDATE workspaces w SET owner_id = (
      SELECT m.user_id FROM workspace_members m WHERE m.workspace_id = w.id AND m.role = 'owner'
      ORDER BY m.joined_at, m.user_id LIMIT 1)
    WHERE w.id = :workspace AND NOT EXISTS (
      SELECT FROM workspace_members m
      WHERE m.workspace_id = w.id AND m.user_id = w.owner_id AND m.role = 'owner')
    """
)


async def project(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    for item in recorded:
        await _apply(connection, item)


async def _apply(connection: AsyncConnection, item: Recorded) -> None:
    match item.event:
        case WorkspaceCreated() as event:
            await connection.execute(
                _CREATE,
                {
                    "id": event.workspace_id,
                    "name": event.name,
                    "owner": event.owner_id,
                    "at": item.occurred_at,
                },
            )
        case WorkspaceRenamed() as event:
            await connection.execute(_RENAME, {"id": event.workspace_id, "name": event.name})
        case MemberAdded() as event:
            await connection.execute(
                _ADD,
                {
                    "id": event.member_id,
                    "workspace": event.workspace_id,
                    "user": event.user_id,
                    "role": event.role,
                    "at": item.occurred_at,
                },
            )
        case MemberRoleChanged() as event:
            row = {"workspace": event.workspace_id, "user": event.user_id, "role": event.role}
            await connection.execute(_CHANGE, row)
            await connection.execute(_SUCCEED, {"workspace": event.workspace_id})
        case MemberRemoved() as event:
            await connection.execute(
                _REMOVE, {"workspace": event.workspace_id, "user": event.user_id}
            )
            await connection.execute(_SUCCEED, {"workspace": event.workspace_id})


WORKSPACES: Decider[Workspace | None, workspaces.Command] = Decider(
    initial=lambda: None, evolve=workspaces.evolve, decide=workspaces.decide, project=project
)

_ROLE = text(
    "SELECT role FROM workspace_members WHERE workspace_id = :workspace AND user_id = :user"
)
_MINE = text(
    """
    SELECT w.id, w.name, w.owner_id, w.created_at, m.role
    FROM workspaces w JOIN workspace_members m ON m.workspace_id = w.id
    WHERE m.user_id = :user
      AND (CAST(:after_at AS timestamptz) IS NULL
           OR (w.created_at, w.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid)))
    ORDER BY w.created_at, w.id LIMIT :limit
    """
)
_ONE = """
    SELECT w.id, w.name, w.owner_id, w.created_at, m.role
    FROM workspaces w JOIN workspace_members m ON m.workspace_id = w.id AND m.user_id = :user
    WHERE w.id = :workspace
"""
_READ = text(_ONE)
_LOCK = text(f"{_ONE} FOR UPDATE OF w")
_MEMBERS = text(
    """
    SELECT m.id, m.user_id, u.email, m.role, m.joined_at
    FROM workspace_members m JOIN users u ON u.id = m.user_id
    WHERE m.workspace_id = :workspace
      AND (CAST(:only AS uuid) IS NULL OR m.user_id = CAST(:only AS uuid))
      AND (CAST(:after_at AS timestamptz) IS NULL
           OR (m.joined_at, m.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid)))
    ORDER BY m.joined_at, m.id LIMIT :limit
    """
)
After = tuple[datetime, UUID] | tuple[None, None]
START: After = (None, None)


async def role_of(connection: AsyncConnection, workspace_id: UUID, user_id: UUID) -> Role | None:
    """The person's role there, or None."""
    row = await connection.execute(_ROLE, {"workspace": workspace_id, "user": user_id})
    role: Role | None = row.scalar_one_or_none()
    return role


async def of_person(
    connection: AsyncConnection, user_id: UUID, *, after: After = START, limit: int
) -> Sequence[RowMapping]:
    """Rows of the workspaces the person is a member of, with their role, oldest first."""
    row = {"user": user_id, "after_at": after[0], "after_id": after[1], "limit": limit}
    return (await connection.execute(_MINE, row)).mappings().all()


async def one(
    connection: AsyncConnection, workspace_id: UUID, user_id: UUID, *, lock: bool = False
) -> RowMapping:
    """The row of one workspace as `of_person` gives it, locked until the end if so asked."""
    statement = _LOCK if lock else _READ
    row = {"workspace": workspace_id, "user": user_id}
    return (await connection.execute(statement, row)).mappings().one()


async def members(
    connection: AsyncConnection,
    workspace_id: UUID,
    *,
    only: UUID | None = None,
    after: After = START,
    limit: int,
) -> Sequence[RowMapping]:
    """Rows of the members with their addresses, in order of joining; or just one of them."""
    row = {
        "workspace": workspace_id,
        "only": only,
        "after_at": after[0],
        "after_id": after[1],
        "limit": limit,
    }
    return (await connection.execute(_MEMBERS, row)).mappings().all()
