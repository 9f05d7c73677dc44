"""The accounts of a workspace."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, StringConstraints

from libs.chassis.access import AnyMember, Editor, Owner
from libs.chassis.http import StrictRoute
from libs.chassis.pages import CursorParameter, Limit, Page, decode_cursor, page_of
from libs.contracts.accounts import PlatformName, Status
from services.accounts.connections import NotConfigured, ReturnUrlNotAllowed
from services.accounts.domain import NoSuchAccount
from services.accounts.parts import AccountsParts
from services.accounts.projections.social_accounts import START, one, page

router = APIRouter(
    route_class=StrictRoute, prefix="/v1/workspaces/{ws}/accounts", tags=["accounts"]
)


class AccountView(BaseModel):
    """A connected account.

    `status_reason` says why it is not active; `missing_scopes` what the person did not grant.
    `token_expires_at` is when the access token ends unless it is refreshed before.
    """

    id: UUID
    workspace_id: UUID
    platform: PlatformName
    handle: str
    platform_user_id: str
    status: Status
    status_reason: str | None
    missing_scopes: list[str]
    connected_at: datetime
    token_expires_at: datetime | None


class Connect(BaseModel):
    """`return_url`: where to send the person afterwards; it gets `account_id` and `status`, or
    `error`, as query parameters."""

    return_url: Annotated[str, StringConstraints(max_length=2048)] | None = None


class Consent(BaseModel):
    """The platform's page to send the person to, within ten minutes."""

    authorize_url: str


@router.get("", summary="The accounts, in order of connection")
async def accounts(
    access: AnyMember, limit: Limit = 50, cursor: CursorParameter = None
) -> Page[AccountView]:
    after = decode_cursor(cursor, datetime.fromisoformat, UUID) if cursor else START
    async with access.transaction() as connection:
        rows = await page(connection, access.workspace_id, after=after, limit=limit + 1)
    shown, following = page_of(rows, limit, lambda row: (row["connected_at"], row["id"]))
    return Page(items=[AccountView(**row) for row in shown], next_cursor=following)


@router.get(
    "/{account}", summary="One account", responses={404: {"description": NoSuchAccount.title}}
)
async def account(account: UUID, access: AnyMember) -> AccountView:
    async with access.transaction() as connection:
        row = await one(connection, account)
    if row is None:
        raise NoSuchAccount
    return AccountView(**row)


@router.delete(
    "/{account}",
    status_code=204,
    summary="Disconnect an account; its history stays, its tokens are wiped and given back",
    responses={404: {"description": NoSuchAccount.title}},
)
async def disconnect(account: UUID, access: Owner, parts: AccountsParts) -> None:
    await parts.connections.disconnect(access, account)


@router.post(
    "/{platform}/connect",
    summary="Begin to connect an account, or to connect one again",
    responses={
        404: {"description": NotConfigured.title},
        422: {"description": ReturnUrlNotAllowed.title},
    },
)
async def connect(
    platform: PlatformName, access: Editor, parts: AccountsParts, body: Connect | None = None
) -> Consent:
    return_url = body.return_url if body else None
    return Consent(authorize_url=await parts.connections.begin(access, platform, return_url))
