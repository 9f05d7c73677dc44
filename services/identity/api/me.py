"""Oneself."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from libs.chassis.access import SignedIn
from libs.chassis.errors import Unauthorized
from libs.chassis.http import StrictRoute
from services.identity.parts import Identity
from services.identity.projections.users import by_id

router = APIRouter(route_class=StrictRoute, tags=["me"])


class Me(BaseModel):
    """`operator`: whether this access token has the scope."""

    id: UUID
    email: str
    mfa_enabled: bool
    created_at: datetime
    last_login: datetime | None
    operator: bool


@router.get("/v1/me", summary="Who is signed in")
async def me(principal: SignedIn, identity: Identity) -> Me:
    async with identity.database.transaction(user_id=principal.user_id) as connection:
        person = await by_id(connection, principal.user_id)
    if person is None:
        raise Unauthorized
    return Me(
        id=person.id,
        email=person.email,
        mfa_enabled=person.mfa_enabled,
        created_at=person.created_at,
        last_login=person.last_login,
        operator=principal.operator,
    )
