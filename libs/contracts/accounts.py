"""Events of the accounts service, topic `accounts.events`.

Streams: `account-<id>` for an account, `lease-<id>` for each time its token was lent.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from libs.contracts.event import Event, upcasts

PlatformName = Literal["instagram", "tiktok", "linkedin", "x"]
Status = Literal["active", "needs_review", "disconnected"]


class AccountConnected(Event, type="accounts.account_connected.v2"):
    """A person granted access. `missing_scopes` are those we need and did not get.

    `other_ids` are further ids under which the platform may speak of the account.
    """

    account_id: UUID
    workspace_id: UUID
    platform: PlatformName
    handle: str
    platform_user_id: str
    status: Literal["active", "needs_review"]
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...] = ()
    other_ids: tuple[str, ...] = ()


@upcasts("accounts.account_connected.v1", "accounts.account_connected.v2")
def _account_connected_v1(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 held the scopes as one space-separated text and knew no missing ones."""
    scopes = data["scopes"].split()
    return {**data, "scopes": scopes, "missing_scopes": [], "status": "active"}


class AccountReconnected(Event, type="accounts.account_reconnected.v1"):
    """Access was granted again to an account we know; its id and history stay."""

    account_id: UUID
    workspace_id: UUID
    platform: PlatformName
    handle: str
    platform_user_id: str
    status: Literal["active", "needs_review"]
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...] = ()
    other_ids: tuple[str, ...] = ()


class AccountReviewRequested(Event, type="accounts.account_review_requested.v1"):
    """The account needs a person: status becomes `needs_review`. `reason` is a stable slug."""

    account_id: UUID
    workspace_id: UUID
    platform: PlatformName
    reason: str


class AccountDisconnected(Event, type="accounts.account_disconnected.v1"):
    """By a member, or by the platform's definite word. `reason` is a stable slug."""

    account_id: UUID
    workspace_id: UUID
    platform: PlatformName
    reason: str


class TokenRefreshed(Event, type="accounts.token_refreshed.v1"):
    account_id: UUID
    workspace_id: UUID
    token_version: int


class TokenLeased(Event, type="accounts.token_leased.v1"):
    """Another service was given the access token. The token itself never enters an event."""

    account_id: UUID
    workspace_id: UUID
    leased_by: str
    purpose: str
