"""Events of the identity service, topic `identity.events`.

Streams: `user-<id>` for a person, `workspace-<id>` for a workspace and its members.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from libs.contracts.event import Event

Role = Literal["owner", "editor", "analyst"]


class UserRegistered(Event, type="identity.user_registered.v1"):
    user_id: UUID
    email: str


class UserLoggedIn(Event, type="identity.user_logged_in.v1"):
    user_id: UUID


class WorkspaceCreated(Event, type="identity.workspace_created.v1"):
    """The owner becomes a member by a MemberAdded of the same transaction."""

    workspace_id: UUID
    name: str
    owner_id: UUID


class WorkspaceRenamed(Event, type="identity.workspace_renamed.v1"):
    workspace_id: UUID
    name: str


class MemberAdded(Event, type="identity.member_added.v1"):
    member_id: UUID
    workspace_id: UUID
    user_id: UUID
    role: Role


class MemberRoleChanged(Event, type="identity.member_role_changed.v1"):
    workspace_id: UUID
    user_id: UUID
    role: Role


class MemberRemoved(Event, type="identity.member_removed.v1"):
    workspace_id: UUID
    user_id: UUID
