"""Where platforms send people back to."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from libs.chassis.errors import Problem
from libs.chassis.http import StrictRoute, metadata_of
from libs.chassis.refusals import Refused
from libs.contracts.accounts import PlatformName, Status
from services.accounts.connections import AccessDenied, Answer
from services.accounts.domain import HeldElsewhere
from services.accounts.parts import AccountsParts, no_store

router = APIRouter(
    route_class=StrictRoute,
    prefix="/v1/oauth",
    tags=["accounts"],
    dependencies=[Depends(no_store)],
)


class CallbackQuery(BaseModel):
    """What a platform adds to the address; anything else is ignored."""

    state: str = Field(default="", max_length=512)
    code: str | None = Field(default=None, max_length=4096)
    error: str | None = Field(default=None, max_length=256)


class Outcome(BaseModel):
    account_id: UUID
    status: Status


@router.get(
    "/{platform}/callback",
    summary="The end of an OAuth flow: a redirect to its return_url, or this",
    response_model=Outcome,
    responses={
        303: {"description": "To the flow's return_url"},
        400: {"description": AccessDenied.title},
        409: {"description": HeldElsewhere.title},
    },
)
async def callback(
    platform: PlatformName,
    query: Annotated[CallbackQuery, Query()],
    request: Request,
    parts: AccountsParts,
) -> Outcome | Response:
    answer = Answer(platform, query.state, query.code, query.error)
    flow = await parts.connections.take(answer)
    metadata = metadata_of(request, flow.user_id)
    try:
        connected = await parts.connections.finish(flow, answer, metadata)
    except (Problem, Refused) as refusal:
        if flow.return_url is None:
            raise
        return _back(flow.return_url, error=refusal.slug)
    outcome = Outcome(account_id=connected.account_id, status=connected.status)
    if flow.return_url is None:
        return outcome
    return _back(flow.return_url, **outcome.model_dump(mode="json"))


def _back(return_url: str, **outcome: str) -> Response:
    """A GET of the return_url with the outcome added to its query."""
    parts = urlsplit(return_url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *outcome.items()])
    return RedirectResponse(
        urlunsplit(parts._replace(query=query)),
        status_code=303,
        headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"},
    )
