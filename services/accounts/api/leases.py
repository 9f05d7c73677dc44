"""Access tokens for other services. The gateway does not route here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field, StringConstraints

from libs.chassis.access import CallingService
from libs.chassis.http import StrictRoute, metadata_of
from libs.contracts.accounts import PlatformName
from services.accounts.domain import NeedsReview, NoSuchAccount
from services.accounts.parts import AccountsParts, no_store

router = APIRouter(
    route_class=StrictRoute,
    prefix="/internal/accounts",
    tags=["internal"],
    dependencies=[Depends(no_store)],
)


class Purpose(BaseModel):
    """What the token is for, as a short word such as `poll`; audited."""

    purpose: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class LeaseView(BaseModel):
    access_token: str
    expires_at: datetime | None
    platform: PlatformName
    platform_user_id: str
    token_version: int


class Refusal(BaseModel):
    """That the platform called a lent token dead; `reason` is a slug."""

    token_version: Annotated[int, Field(ge=1, le=2_147_483_647)]
    reason: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


@router.post(
    "/{account}/refusals",
    status_code=204,
    summary="Tell that the platform refused a lent token for good",
    responses={404: {"description": NoSuchAccount.title}},
)
async def refusal(
    account: UUID, body: Refusal, _caller: CallingService, parts: AccountsParts
) -> None:
    await parts.leases.refused(account, token_version=body.token_version, reason=body.reason)


@router.post(
    "/{account}/lease",
    summary="The access token of an active account, refreshed when near its end; audited",
    responses={
        404: {"description": NoSuchAccount.title},
        409: {"description": NeedsReview.title},
        503: {"description": "The token is dead and cannot be refreshed just now"},
    },
)
async def lease(
    account: UUID,
    body: Purpose,
    caller: CallingService,
    request: Request,
    parts: AccountsParts,
) -> LeaseView:
    lent = await parts.leases.lend(
        account, leased_by=caller, purpose=body.purpose, metadata=metadata_of(request)
    )
    return LeaseView(
        access_token=lent.access_token.get_secret_value(),
        expires_at=lent.expires_at,
        platform=lent.platform,
        platform_user_id=lent.platform_user_id,
        token_version=lent.token_version,
    )
