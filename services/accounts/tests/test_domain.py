from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from uuid import uuid4

import pytest

from libs.chassis.refusals import Refused
from libs.contracts.accounts import (
    AccountConnected,
    AccountDisconnected,
    AccountReconnected,
    AccountReviewRequested,
    TokenLeased,
    TokenRefreshed,
)
from libs.contracts.event import Event
from services.accounts import domain
from services.accounts.domain import Account, Disconnect, NoteLease, NoteRefresh, RequestReview

ID, WS = uuid4(), uuid4()
GRANT = domain.Grant(ID, WS, "x", "rookery", "42", ("tweet.read", "users.read"), other_ids=("7",))
CONNECTED = AccountConnected(
    account_id=ID,
    workspace_id=WS,
    platform="x",
    handle="rookery",
    platform_user_id="42",
    status="active",
    scopes=("tweet.read", "users.read"),
    other_ids=("7",),
)
RECONNECTED = AccountReconnected(**CONNECTED.model_dump())
PARTLY = CONNECTED.model_copy(
    update={"status": "needs_review", "missing_scopes": ("offline.access",)}
)
LOST = AccountReviewRequested(account_id=ID, workspace_id=WS, platform="x", reason="revoked")
GONE = AccountDisconnected(account_id=ID, workspace_id=WS, platform="x", reason="by-member")
LEASED = TokenLeased(account_id=ID, workspace_id=WS, leased_by="ingestion", purpose="poll")
REFRESHED = TokenRefreshed(account_id=ID, workspace_id=WS, token_version=2)


def given(*events: Event) -> Account | None:
    start: Account | None = None
    return reduce(domain.evolve, events, start)


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([], GRANT, [CONNECTED]),
        ([], replace(GRANT, missing_scopes=("offline.access",)), [PARTLY]),
        ([CONNECTED], GRANT, [RECONNECTED]),
        ([CONNECTED, LOST], GRANT, [RECONNECTED]),
        ([CONNECTED, GONE], GRANT, [RECONNECTED]),
        ([CONNECTED], RequestReview("revoked"), [LOST]),
        ([CONNECTED, LOST], RequestReview("revoked"), []),
        ([PARTLY], RequestReview("revoked"), [LOST]),
        ([CONNECTED, GONE], RequestReview("revoked"), []),
        ([CONNECTED], Disconnect("by-member"), [GONE]),
        ([CONNECTED, LOST], Disconnect("by-member"), [GONE]),
        ([CONNECTED, GONE], Disconnect("revoked-at-platform"), []),
        ([CONNECTED], NoteLease("ingestion", "poll"), [LEASED]),
        ([CONNECTED, LOST, RECONNECTED], NoteLease("ingestion", "poll"), [LEASED]),
        ([CONNECTED, LEASED], NoteRefresh(2), [REFRESHED]),
    ],
)
def test_given_when_then(
    history: Sequence[Event], command: domain.Command, events: Sequence[Event]
) -> None:
    assert domain.decide(given(*history), command) == events


@pytest.mark.parametrize(
    ("history", "command", "refusal"),
    [
        ([], Disconnect("by-member"), domain.NoSuchAccount),
        ([CONNECTED, LOST], NoteLease("ingestion", "poll"), domain.NeedsReview),
        ([PARTLY], NoteLease("ingestion", "poll"), domain.NeedsReview),
        ([CONNECTED, GONE], NoteLease("ingestion", "poll"), domain.Disconnected),
    ],
)
def test_refusals(
    history: Sequence[Event], command: domain.Command, refusal: type[Refused]
) -> None:
    with pytest.raises(refusal):
        domain.decide(given(*history), command)
