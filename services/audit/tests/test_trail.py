"""Events become entries, once each, without personal text."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import UTC, datetime
from ipaddress import ip_address
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

import libs.contracts
from libs.contracts.accounts import AccountDisconnected
from libs.contracts.event import Event, all_events
from libs.contracts.identity import MemberAdded, UserRegistered
from libs.contracts.ingestion import CommentReceived
from libs.projections.reader import Poisoned
from services.audit.projections import trail
from services.audit.tests.support import NOW, apply, connected, entries, received

MINE, ACCOUNT, PERSON = uuid4(), uuid4(), uuid4()


def _comment(workspace_id: UUID = MINE) -> CommentReceived:
    return CommentReceived(
        account_id=ACCOUNT,
        workspace_id=workspace_id,
        platform="instagram",
        occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
        comment_id="c",
        author_name="Ann",
        text="hello from Ann",
    )


@pytest.mark.parametrize(
    ("wire_type", "named"),
    [
        ("accounts.account_connected.v2", ("accounts", "account.connected")),
        ("ingestion.comment_received.v1", ("ingestion", "comment.received")),
        ("identity.member_role_changed.v1", ("identity", "member.role_changed")),
    ],
)
def test_an_action_is_entity_and_verb(wire_type: str, named: tuple[str, str]) -> None:
    assert trail.name_of(wire_type) == named


def test_every_contract_has_an_action_that_fits_its_column() -> None:
    actions = [
        trail.name_of(wire_type)
        for wire_type in all_events()
        if f"{wire_type.partition('.')[0]}.events" in trail.TOPICS
    ]
    assert all("." in action and len(action) <= 64 for _, action in actions)
    assert len(set(actions)) == len(actions)


def test_every_topic_that_has_contracts_is_read() -> None:
    modules = [
        importlib.import_module(f"libs.contracts.{found.name}")
        for found in pkgutil.iter_modules(libs.contracts.__path__)
        if found.name != "tests"
    ]
    owners = {
        value.type.partition(".")[0]
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Event) and hasattr(value, "type")
    }
    assert {f"{owner}.events" for owner in owners} == set(trail.TOPICS)
    assert trail.READER.types is None


async def test_an_entry_says_who_did_what_to_what_and_from_where(worker: AsyncEngine) -> None:
    member = MemberAdded(member_id=uuid4(), workspace_id=MINE, user_id=PERSON, role="editor")
    actor = uuid4()
    item = received(
        member,
        f"workspace-{MINE}",
        actor_id=actor,
        ip="2001:db8::7",
        user_agent="curl/8",
        correlation_id="r1",
    )
    await apply(worker, [item])
    assert await entries(worker) == [
        {
            "id": item.envelope.id,
            "workspace_id": MINE,
            "actor_id": actor,
            "action": "member.added",
            "entity_type": "workspace",
            "entity_id": MINE,
            "timestamp": NOW,
            "ip_address": ip_address("2001:db8::7"),
            "user_agent": "curl/8",
            "service": "identity",
            "correlation_id": "r1",
            "details": {
                "member_id": str(member.member_id),
                "user_id": str(PERSON),
                "role": "editor",
            },
        }
    ]


async def test_no_personal_text_reaches_the_trail(worker: AsyncEngine) -> None:
    registered = UserRegistered(user_id=PERSON, email="ann@example.org")
    await apply(
        worker,
        [
            received(registered, f"user-{PERSON}"),
            received(_comment(), f"account-{ACCOUNT}", minutes=1),
        ],
    )
    registration, comment = await entries(worker)
    assert registration["workspace_id"] is None
    assert registration["details"] == {"user_id": str(PERSON)}
    assert comment["details"] == {
        "account_id": str(ACCOUNT),
        "platform": "instagram",
        "own": False,
    }
    assert comment["actor_id"] is None


async def test_a_repeated_event_is_one_entry(worker: AsyncEngine) -> None:
    item = received(_comment(), f"account-{ACCOUNT}")
    await apply(worker, [item, item])
    await apply(worker, [item])
    assert len(await entries(worker)) == 1


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("unknown", None),
        ("203.0.113.7:4711", None),
        ("fe80::1%eth0", ip_address("fe80::1")),
        ("203.0.113.7", ip_address("203.0.113.7")),
        (None, None),
    ],
)
async def test_an_address_that_is_none_is_left_out(
    worker: AsyncEngine, said: str | None, kept: object
) -> None:
    await apply(worker, [received(_comment(), f"account-{ACCOUNT}", ip=said, user_agent="a\x00b")])
    [entry] = await entries(worker)
    assert (entry["ip_address"], entry["user_agent"]) == (kept, "ab")


async def test_an_event_of_another_tenant_is_refused_by_name(worker: AsyncEngine) -> None:
    theirs, stream = uuid4(), f"account-{ACCOUNT}"
    await apply(worker, [received(connected(ACCOUNT, MINE), stream)])
    honest = received(_comment(), stream)
    forged = [
        received(_comment(theirs), stream),
        received(_comment(), stream, workspace_id=theirs),
        received(connected(ACCOUNT, theirs), stream),
        received(
            AccountDisconnected(
                account_id=ACCOUNT, workspace_id=theirs, platform="instagram", reason="r"
            ),
            stream,
        ),
    ]
    with pytest.raises(Poisoned) as refused:
        await apply(worker, [honest, *forged])
    assert refused.value.reasons == {item.envelope.id: "forged tenant" for item in forged}


@pytest.mark.parametrize("stream", ["account", "account-17", ""])
async def test_an_event_of_no_entity_is_refused_by_name(worker: AsyncEngine, stream: str) -> None:
    item = received(_comment(), stream)
    with pytest.raises(Poisoned) as refused:
        await apply(worker, [item])
    assert refused.value.reasons == {item.envelope.id: "the stream names no entity"}
