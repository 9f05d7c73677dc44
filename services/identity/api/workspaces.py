"""Workspaces."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, StringConstraints
from sqlalchemy import RowMapping

from libs.chassis import etags
from libs.chassis.access import AnyMember, Owner, SignedIn
from libs.chassis.etags import IfMatch, PreconditionFailed
from libs.chassis.http import StrictRoute, metadata_of
from libs.chassis.idempotency import AtMostOnce, KeyReused
from libs.chassis.pages import CursorParameter, Limit, Page, decode_cursor, page_of
from libs.chassis.retry import on_conflict
from libs.contracts.identity import Role
from libs.eventlog import log
from services.identity.domain import workspaces
from services.identity.parts import Identity
from services.identity.projections.workspaces import START, WORKSPACES, of_person, one

router = APIRouter(route_class=StrictRoute, prefix="/v1/workspaces", tags=["workspaces"])
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class NewWorkspace(BaseModel):
    name: Name


class Created(BaseModel):
    id: UUID


class WorkspaceView(BaseModel):
    """A workspace as one of its members sees it; `role` is the caller's."""

    id: UUID
    name: str
    owner_id: UUID
    created_at: datetime
    role: Role


@router.post(
    "",
    status_code=201,
    summary="Create a workspace and own it",
    responses={422: {"description": KeyReused.title}},
)
async def create(
    body: NewWorkspace, principal: SignedIn, request: Request, identity: Identity, once: AtMostOnce
) -> Created:
    me, workspace_id = principal.user_id, uuid4()

    async def action() -> Created:
        await log.decide(
            connection,
            WORKSPACES,
            workspaces.stream(workspace_id),
            workspaces.Create(workspace_id, body.name, owner_id=me, member_id=uuid4()),
            workspace_id=workspace_id,
            metadata=metadata_of(request, me),
            now=identity.clock.now(),
        )
        return Created(id=workspace_id)

    async with identity.database.transaction(workspace_id=workspace_id, user_id=me) as connection:
        return await once.run(connection, me, Created, action)


@router.get("", summary="The workspaces one is a member of, oldest first")
async def mine(
    principal: SignedIn, identity: Identity, limit: Limit = 50, cursor: CursorParameter = None
) -> Page[WorkspaceView]:
    after = decode_cursor(cursor, datetime.fromisoformat, UUID) if cursor else START
    async with identity.database.transaction(user_id=principal.user_id) as connection:
        rows = await of_person(connection, principal.user_id, after=after, limit=limit + 1)
    page, following = page_of(rows, limit, lambda row: (row["created_at"], row["id"]))
    return Page(items=[_view(row) for row in page], next_cursor=following)


@router.get("/{ws}", summary="One workspace, with its ETag")
async def read(access: AnyMember, response: Response) -> WorkspaceView:
    async with access.transaction() as connection:
        view = _view(await one(connection, access.workspace_id, access.user_id))
    response.headers["ETag"] = etags.etag(view)
    return view


@router.patch(
    "/{ws}",
    summary="Rename a workspace",
    responses={412: {"description": PreconditionFailed.title}},
)
async def rename(
    body: NewWorkspace,
    access: Owner,
    response: Response,
    identity: Identity,
    if_match: IfMatch = None,
) -> WorkspaceView:
    async def attempt() -> WorkspaceView:
        async with access.transaction() as connection:
            before = await one(connection, access.workspace_id, access.user_id, lock=True)
            etags.check(if_match, _view(before))
            await log.decide(
                connection,
                WORKSPACES,
                workspaces.stream(access.workspace_id),
                workspaces.Rename(body.name),
                workspace_id=access.workspace_id,
                metadata=access.metadata,
                now=identity.clock.now(),
            )
            return _view(await one(connection, access.workspace_id, access.user_id))

    view = await on_conflict(attempt)
    response.headers["ETag"] = etags.etag(view)
    return view


def _view(row: RowMapping) -> WorkspaceView:
    return WorkspaceView(**row)
