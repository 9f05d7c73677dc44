"""The members of a workspace."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.chassis.access import Access, AnyMember, Owner
from libs.chassis.errors import Forbidden
from libs.chassis.http import StrictRoute
from libs.chassis.idempotency import AtMostOnce, KeyReused
from libs.chassis.pages import CursorParameter, Limit, Page, decode_cursor, page_of
from libs.chassis.retry import on_conflict
from libs.contracts.identity import Role
from libs.eventlog import log
from services.identity.api.auth import Email
from services.identity.domain import users, workspaces
from services.identity.parts import Identity, Parts
from services.identity.projections.users import by_email
from services.identity.projections.workspaces import START, WORKSPACES
from services.identity.projections.workspaces import members as rows_of

router = APIRouter(route_class=StrictRoute, prefix="/v1/workspaces/{ws}/members", tags=["members"])


class NewMember(BaseModel):
    email: Email
    role: Role


class NewRole(BaseModel):
    role: Role


class Member(BaseModel):
    id: UUID
    user_id: UUID
    email: str
    role: Role
    joined_at: datetime


@router.get("", summary="The members, in order of joining")
async def members(access: Owner, limit: Limit = 50, cursor: CursorParameter = None) -> Page[Member]:
    after = decode_cursor(cursor, datetime.fromisoformat, UUID) if cursor else START
    async with access.transaction() as connection:
        rows = await rows_of(connection, access.workspace_id, after=after, limit=limit + 1)
    page, following = page_of(rows, limit, lambda row: (row["joined_at"], row["id"]))
    return Page(items=[Member(**row) for row in page], next_cursor=following)


@router.post(
    "",
    status_code=201,
    summary="Add a registered person by their e-mail address",
    responses={
        404: {"description": users.NoSuchUser.title},
        409: {"description": workspaces.AlreadyMember.title},
        422: {"description": KeyReused.title},
    },
)
async def add(body: NewMember, access: Owner, identity: Identity, once: AtMostOnce) -> Member:
    async def attempt() -> Member:
        async with access.transaction() as connection:
            return await once.run(
                connection, access.user_id, Member, lambda: _add(connection, identity, access, body)
            )

    return await on_conflict(attempt)


@router.patch(
    "/{user}",
    summary="Change a member's role",
    responses={
        404: {"description": workspaces.NoSuchMember.title},
        409: {"description": workspaces.LastOwner.title},
    },
)
async def change(user: UUID, body: NewRole, access: Owner, identity: Identity) -> Member:
    async def attempt() -> Member:
        async with access.transaction() as connection:
            await _decide(connection, identity, access, workspaces.ChangeRole(user, body.role))
            return await _member(connection, access.workspace_id, user)

    return await on_conflict(attempt)


@router.delete(
    "/{user}",
    status_code=204,
    summary="Remove a member; every member may remove themselves",
    responses={
        404: {"description": workspaces.NoSuchMember.title},
        409: {"description": workspaces.LastOwner.title},
    },
)
async def remove(user: UUID, access: AnyMember, identity: Identity) -> Response:
    if access.role != "owner" and user != access.user_id:
        raise Forbidden("Only an owner removes other members")

    async def attempt() -> None:
        async with access.transaction() as connection:
            await _decide(connection, identity, access, workspaces.RemoveMember(user))

    await on_conflict(attempt)
    return Response(status_code=204)


async def _add(
    connection: AsyncConnection, identity: Parts, access: Access, body: NewMember
) -> Member:
    found = await by_email(connection, body.email)
    if found is None:
        raise users.NoSuchUser
    command = workspaces.AddMember(uuid4(), found.user_id, body.role)
    await _decide(connection, identity, access, command)
    return await _member(connection, access.workspace_id, found.user_id)


async def _decide(
    connection: AsyncConnection, identity: Parts, access: Access, command: workspaces.Command
) -> None:
    await log.decide(
        connection,
        WORKSPACES,
        workspaces.stream(access.workspace_id),
        command,
        workspace_id=access.workspace_id,
        metadata=access.metadata,
        now=identity.clock.now(),
    )


async def _member(connection: AsyncConnection, workspace_id: UUID, user_id: UUID) -> Member:
    (row,) = await rows_of(connection, workspace_id, only=user_id, limit=1)
    return Member(**row)
