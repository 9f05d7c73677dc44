from collections.abc import Sequence
from functools import reduce
from uuid import uuid4

import pytest

from libs.chassis.refusals import Refused
from libs.contracts.event import Event
from libs.contracts.identity import (
    MemberAdded,
    MemberRemoved,
    MemberRoleChanged,
    Role,
    WorkspaceCreated,
    WorkspaceRenamed,
)
from services.identity.domain import workspaces
from services.identity.domain.workspaces import (
    AddMember,
    AlreadyMember,
    ChangeRole,
    Create,
    LastOwner,
    NoSuchMember,
    NoSuchWorkspace,
    RemoveMember,
    Rename,
    Workspace,
)

WS, MEMBER, OWNER, BEN = uuid4(), uuid4(), uuid4(), uuid4()
CREATED: list[Event] = [
    WorkspaceCreated(workspace_id=WS, name="Team", owner_id=OWNER),
    MemberAdded(member_id=MEMBER, workspace_id=WS, user_id=OWNER, role="owner"),
]


def added(role: Role) -> Event:
    return MemberAdded(member_id=MEMBER, workspace_id=WS, user_id=BEN, role=role)


def given(*events: Event) -> Workspace | None:
    start: Workspace | None = None
    return reduce(workspaces.evolve, events, start)


def test_creating_makes_the_creator_an_owner() -> None:
    assert workspaces.decide(given(), Create(WS, "Team", OWNER, MEMBER)) == CREATED


@pytest.mark.parametrize(
    ("command", "events"),
    [
        (Rename("Crew"), [WorkspaceRenamed(workspace_id=WS, name="Crew")]),
        (Rename("Team"), []),
        (AddMember(MEMBER, BEN, "analyst"), [added("analyst")]),
    ],
)
def test_an_owner_alone(command: workspaces.Command, events: Sequence[Event]) -> None:
    assert workspaces.decide(given(*CREATED), command) == events


@pytest.mark.parametrize(
    ("command", "events"),
    [
        (
            ChangeRole(BEN, "editor"),
            [MemberRoleChanged(workspace_id=WS, user_id=BEN, role="editor")],
        ),
        (ChangeRole(BEN, "analyst"), []),
        (RemoveMember(BEN), [MemberRemoved(workspace_id=WS, user_id=BEN)]),
    ],
)
def test_an_owner_and_an_analyst(command: workspaces.Command, events: Sequence[Event]) -> None:
    assert workspaces.decide(given(*CREATED, added("analyst")), command) == events


@pytest.mark.parametrize(
    ("history", "command", "refusal"),
    [
        ([], Rename("x"), NoSuchWorkspace),
        (CREATED, ChangeRole(OWNER, "analyst"), LastOwner),
        (CREATED, RemoveMember(OWNER), LastOwner),
        ([*CREATED, added("editor")], RemoveMember(OWNER), LastOwner),
        ([*CREATED, added("editor")], AddMember(MEMBER, BEN, "owner"), AlreadyMember),
        (CREATED, ChangeRole(BEN, "owner"), NoSuchMember),
        (CREATED, RemoveMember(BEN), NoSuchMember),
        (
            [
                *CREATED,
                added("owner"),
                MemberRoleChanged(workspace_id=WS, user_id=OWNER, role="editor"),
            ],
            RemoveMember(BEN),
            LastOwner,
        ),
    ],
)
def test_refusals(
    history: Sequence[Event], command: workspaces.Command, refusal: type[Refused]
) -> None:
    with pytest.raises(refusal):
        workspaces.decide(given(*history), command)


def test_an_owner_may_leave_when_another_one_stays() -> None:
    state = given(*CREATED, added("owner"))
    assert workspaces.decide(state, RemoveMember(OWNER)) == [
        MemberRemoved(workspace_id=WS, user_id=OWNER)
    ]
