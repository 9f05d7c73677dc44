"""A workspace and its members: stream `workspace-<id>`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from libs.chassis.refusals import Missing, Refused
from libs.contracts.event import Event
from libs.contracts.identity import (
    MemberAdded,
    MemberRemoved,
    MemberRoleChanged,
    Role,
    WorkspaceCreated,
    WorkspaceRenamed,
)


class NoSuchWorkspace(Missing):
    slug = "workspace-not-found"
    title = "There is no such workspace"


class NoSuchMember(Missing):
    slug = "member-not-found"
    title = "This person is not a member of the workspace"


class AlreadyMember(Refused):
    slug = "already-member"
    title = "This person is a member of the workspace already"


class LastOwner(Refused):
    slug = "last-owner"
    title = "A workspace keeps at least one owner; make someone else an owner first"


@dataclass(frozen=True, slots=True)
class Workspace:
    """`members` maps a person to their role; there is always an owner among them."""

    id: UUID
    name: str
    members: Mapping[UUID, Role] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Create:
    workspace_id: UUID
    name: str
    owner_id: UUID
    member_id: UUID


@dataclass(frozen=True, slots=True)
class Rename:
    name: str


@dataclass(frozen=True, slots=True)
class AddMember:
    member_id: UUID
    user_id: UUID
    role: Role


@dataclass(frozen=True, slots=True)
class ChangeRole:
    user_id: UUID
    role: Role


@dataclass(frozen=True, slots=True)
class RemoveMember:
    user_id: UUID


Command = Create | Rename | AddMember | ChangeRole | RemoveMember


def stream(workspace_id: UUID) -> str:
    return f"workspace-{workspace_id}"


def evolve(state: Workspace | None, event: Event) -> Workspace:
    if isinstance(event, WorkspaceCreated):
        return Workspace(event.workspace_id, event.name)
    if state is None:
        raise TypeError(f"{event.type} before the workspace was created")
    match event:
        case WorkspaceRenamed():
            return replace(state, name=event.name)
        case MemberAdded() | MemberRoleChanged():
            return replace(state, members={**state.members, event.user_id: event.role})
        case MemberRemoved():
            rest = {user: role for user, role in state.members.items() if user != event.user_id}
            return replace(state, members=rest)
        case _:
            raise TypeError(f"{event.type} is no event of a workspace")


def decide(state: Workspace | None, command: Command) -> Sequence[Event]:
    if isinstance(command, Create):
        return _create(state, command)
    if state is None:
        raise NoSuchWorkspace
    if isinstance(command, Rename):
        if command.name == state.name:
            return []
        return [WorkspaceRenamed(workspace_id=state.id, name=command.name)]
    return _decide_members(state, command)


def _decide_members(
    state: Workspace, command: AddMember | ChangeRole | RemoveMember
) -> Sequence[Event]:
    user_id = command.user_id
    match command:
        case AddMember():
            if user_id in state.members:
                raise AlreadyMember
            return [
                MemberAdded(
                    member_id=command.member_id,
                    workspace_id=state.id,
                    user_id=user_id,
                    role=command.role,
                )
            ]
        case ChangeRole():
            if _role(state, user_id) == command.role:
                return []
            _keep_an_owner(state, user_id)
            return [MemberRoleChanged(workspace_id=state.id, user_id=user_id, role=command.role)]
        case RemoveMember():
            _role(state, user_id)
            _keep_an_owner(state, user_id)
            return [MemberRemoved(workspace_id=state.id, user_id=user_id)]


def _create(state: Workspace | None, command: Create) -> Sequence[Event]:
    if state is not None:
        raise TypeError("A new workspace got the id of an old one")
    return [
        WorkspaceCreated(
            workspace_id=command.workspace_id, name=command.name, owner_id=command.owner_id
        ),
        MemberAdded(
            member_id=command.member_id,
            workspace_id=command.workspace_id,
            user_id=command.owner_id,
            role="owner",
        ),
    ]


def _role(state: Workspace, user_id: UUID) -> Role:
    role = state.members.get(user_id)
    if role is None:
        raise NoSuchMember
    return role


def _keep_an_owner(state: Workspace, leaving: UUID) -> None:
    others = [user for user, role in state.members.items() if role == "owner" and user != leaving]
    if not others:
        raise LastOwner
