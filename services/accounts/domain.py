"""A connected social account: stream `account-<id>`. Tokens are state beside it, never events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from libs.chassis.refusals import Missing, Refused
from libs.contracts.accounts import (
    AccountConnected,
    AccountDisconnected,
    AccountReconnected,
    AccountReviewRequested,
    PlatformName,
    Status,
    TokenLeased,
    TokenRefreshed,
)
from libs.contracts.event import Event

MISSING_SCOPES = "missing-scopes"


class NoSuchAccount(Missing):
    slug = "account-not-found"
    title = "There is no such account in this workspace"


class HeldElsewhere(Refused):
    slug = "account-held-elsewhere"
    title = "Another workspace holds this account; it must be disconnected there first"


class NeedsReview(Refused):
    slug = "account-needs-review"
    title = "The account must be connected again before it can be used"


class Disconnected(Refused):
    slug = "account-disconnected"
    title = "The account is disconnected"


@dataclass(frozen=True, slots=True)
class Account:
    id: UUID
    workspace_id: UUID
    platform: PlatformName
    platform_user_id: str
    status: Status
    reason: str | None


@dataclass(frozen=True, slots=True)
class Grant:
    """A person consented, for the first time or again."""

    account_id: UUID
    workspace_id: UUID
    platform: PlatformName
    handle: str
    platform_user_id: str
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...] = ()
    other_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestReview:
    """Only a person can mend the account. `reason` is a stable slug."""

    reason: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    reason: str


@dataclass(frozen=True, slots=True)
class NoteRefresh:
    token_version: int


@dataclass(frozen=True, slots=True)
class NoteLease:
    leased_by: str
    purpose: str


Command = Grant | RequestReview | Disconnect | NoteRefresh | NoteLease


def stream(account_id: UUID) -> str:
    return f"account-{account_id}"


def evolve(state: Account | None, event: Event) -> Account:
    if isinstance(event, AccountConnected):
        return Account(
            id=event.account_id,
            workspace_id=event.workspace_id,
            platform=event.platform,
            platform_user_id=event.platform_user_id,
            status=event.status,
            reason=reason_of(event.status),
        )
    if state is None:
        raise TypeError(f"{event.type} before the account was connected")
    match event:
        case AccountReconnected():
            return replace(state, status=event.status, reason=reason_of(event.status))
        case AccountReviewRequested():
            return replace(state, status="needs_review", reason=event.reason)
        case AccountDisconnected():
            return replace(state, status="disconnected", reason=event.reason)
        case TokenRefreshed() | TokenLeased():
            return state
        case _:
            raise TypeError(f"{event.type} is no event of an account")


def reason_of(status: Literal["active", "needs_review"]) -> str | None:
    """Why a granted account has that status."""
    return MISSING_SCOPES if status == "needs_review" else None


def decide(state: Account | None, command: Command) -> Sequence[Event]:
    if isinstance(command, Grant):
        return [_granted(state, command)]
    if state is None:
        raise NoSuchAccount
    match command:
        case RequestReview():
            if state.status == "disconnected" or state.reason == command.reason:
                return []
            return [
                AccountReviewRequested(
                    account_id=state.id,
                    workspace_id=state.workspace_id,
                    platform=state.platform,
                    reason=command.reason,
                )
            ]
        case Disconnect():
            if state.status == "disconnected":
                return []
            return [
                AccountDisconnected(
                    account_id=state.id,
                    workspace_id=state.workspace_id,
                    platform=state.platform,
                    reason=command.reason,
                )
            ]
        case NoteRefresh() | NoteLease():
            return [_noted(state, command)]


def _granted(state: Account | None, command: Grant) -> Event:
    kind = AccountConnected if state is None else AccountReconnected
    return kind(
        account_id=command.account_id,
        workspace_id=command.workspace_id,
        platform=command.platform,
        handle=command.handle,
        platform_user_id=command.platform_user_id,
        status="needs_review" if command.missing_scopes else "active",
        scopes=command.scopes,
        missing_scopes=command.missing_scopes,
        other_ids=command.other_ids,
    )


def _noted(state: Account, command: NoteRefresh | NoteLease) -> Event:
    if isinstance(command, NoteRefresh):
        return TokenRefreshed(
            account_id=state.id,
            workspace_id=state.workspace_id,
            token_version=command.token_version,
        )
    if state.status == "needs_review":
        raise NeedsReview
    if state.status == "disconnected":
        raise Disconnected
    return TokenLeased(
        account_id=state.id,
        workspace_id=state.workspace_id,
        leased_by=command.leased_by,
        purpose=command.purpose,
    )
