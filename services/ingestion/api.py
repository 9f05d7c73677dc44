"""Routes: webhooks of the platforms, the list of what they said, and imports of the past."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field
from starlette.types import Scope

from libs.chassis.access import AnyMember, CallingService
from libs.chassis.errors import Forbidden, NotFound, Problem
from libs.chassis.http import Direct, StrictRoute, metadata_of
from libs.chassis.pages import CursorParameter, Limit, Page, decode_cursor, page_of
from libs.contracts.accounts import PlatformName
from libs.platforms.base import BadSignature, PollKind
from libs.platforms.instagram.webhooks import data_deletion, deauthorisation
from services.ingestion.backfill import Backfill, Past
from services.ingestion.listing import Filter, list_events
from services.ingestion.webhooks import Webhooks, kept

PROBLEM: dict[str, Any] = {"content": {"application/problem+json": {}}}
WEBHOOK_ANSWERS: dict[int | str, dict[str, Any]] = {
    401: {"description": "The signature does not verify", **PROBLEM},
    413: {"description": "The body is larger than 1 MiB", **PROBLEM},
    415: {"description": "The body is compressed", **PROBLEM},
    503: {"description": "Not stored; send it again", **PROBLEM},
}


class NotAHandshake(Problem):
    """A GET that no platform sends."""

    slug = "not-a-handshake"
    title = "This is no handshake of the platform"


class EventOut(BaseModel):
    """What a platform said, as it said it."""

    id: UUID
    workspace_id: UUID
    social_account_id: UUID
    platform: PlatformName
    type: str
    payload: dict[str, Any]
    received_at: datetime


class DeletionReceipt(BaseModel):
    """What Instagram shows the person who asked for deletion."""

    url: str
    confirmation_code: str


class DeletionState(BaseModel):
    """Where such a request stands."""

    confirmation_code: str
    status: Literal["received"]


class Observed(BaseModel):
    """The raw responses of a poll, as `libs/platforms` names them."""

    kind: PollKind
    observed_at: AwareDatetime
    responses: dict[str, Any]


class BackfillIn(BaseModel):
    """Observations of one account."""

    account_id: UUID
    observations: Annotated[list[Observed], Field(min_length=1, max_length=1000)]


class BackfillOut(BaseModel):
    """How many were new, and how many were there before."""

    written: int
    duplicates: int


webhook_routes = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=StrictRoute)
event_routes = APIRouter(prefix="/v1/workspaces/{ws}", tags=["events"], route_class=StrictRoute)
internal_routes = APIRouter(prefix="/internal", tags=["internal"], route_class=StrictRoute)


async def _webhooks(request: Request) -> Webhooks:
    webhooks: Webhooks = request.app.state.webhooks
    return webhooks


Receiver = Annotated[Webhooks, Depends(_webhooks)]


async def _signed_request(request: Request) -> str:
    """The one field of Instagram's callbacks; empty when it is not there."""
    fields = parse_qs((await request.body()).decode("latin-1"))
    return fields.get("signed_request", [""])[0]


SignedRequest = Annotated[str, Depends(_signed_request)]


@webhook_routes.post(
    "/instagram/deauthorize",
    summary="A person removed our application at Instagram",
    responses=WEBHOOK_ANSWERS,
)
async def deauthorize(request: Request, form_value: SignedRequest, webhooks: Receiver) -> Response:
    """A form with `signed_request`."""
    await webhooks.receive_callback(deauthorisation, form_value, metadata_of(request))
    return Response()


@webhook_routes.post(
    "/instagram/data-deletion",
    summary="A person asks Instagram that we delete their data",
    responses=WEBHOOK_ANSWERS,
)
async def request_deletion(
    request: Request, form_value: SignedRequest, webhooks: Receiver
) -> DeletionReceipt:
    """A form with `signed_request`. The same request gets the same confirmation code."""
    change = await webhooks.receive_callback(data_deletion, form_value, metadata_of(request))
    code = change.payload["confirmation_code"]
    return DeletionReceipt(url=webhooks.deletion_url(code), confirmation_code=code)


@webhook_routes.get(
    "/instagram/data-deletion/{code}",
    summary="Where a request for deletion stands",
    responses={404: PROBLEM},
)
async def deletion(code: str, webhooks: Receiver) -> DeletionState:
    """For the person, who has the code from Instagram."""
    if not await webhooks.deletion_known(code):
        raise NotFound
    return DeletionState(confirmation_code=code, status="received")


@webhook_routes.get(
    "/{platform}",
    summary="The platform's handshake: verification, challenge or CRC",
    responses={400: PROBLEM, 403: PROBLEM, 404: PROBLEM},
)
async def handshake(platform: str, request: Request, webhooks: Receiver) -> Response:
    """Answers exactly as the platform's documentation asks."""
    try:
        reply = webhooks.platform(platform).handshake(dict(request.query_params))
    except BadSignature:
        raise Forbidden("The verify token is not the one agreed") from None
    if reply is None:
        raise NotAHandshake
    return Response(reply.body, media_type=reply.media_type)


@webhook_routes.post(
    "/{platform}",
    summary="A signed webhook: `instagram`, `tiktok`, `linkedin` or `x`",
    responses=WEBHOOK_ANSWERS,
)
async def receive(platform: str, request: Request) -> Response:
    """Answers once what was said is stored; a repeat of it changes nothing.

    What is signed but cannot be read, or is of an account nobody connected, is set aside and
    answered in the same way.
    """
    await take(request.scope, await request.body())
    return Response()


async def take(scope: Scope, body: bytes) -> None:
    """The same for `Direct`, which answers these requests in practice."""
    webhooks: Webhooks = scope["app"].state.webhooks
    platform = webhooks.platform(scope["path_params"]["platform"])
    await webhooks.receive(platform, kept(scope["headers"]), body, scope["state"]["metadata"])


direct_webhooks = Direct("/webhooks/{platform}", take)


@event_routes.get("/events", summary="What the platforms said, newest first")
async def events(
    access: AnyMember,
    *,
    type: Annotated[str | None, Query(max_length=64)] = None,  # noqa: A002 - the API's name
    platform: PlatformName | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Limit = 50,
    cursor: CursorParameter = None,
) -> Page[EventOut]:
    """Raw payloads by time of receipt; `since` is included, `until` is not."""
    after = decode_cursor(cursor, datetime.fromisoformat, UUID) if cursor else None
    wanted = Filter(type=type, platform=platform, since=since, until=until)
    async with access.transaction() as connection:
        rows = await list_events(
            connection, access.workspace_id, wanted, after=after, limit=limit + 1
        )
    page, following = page_of(rows, limit, lambda row: (row.received_at, row.id))
    items = [EventOut.model_validate(row, from_attributes=True) for row in page]
    return Page(items=items, next_cursor=following)


@internal_routes.post(
    "/backfill",
    summary="Append what polls would have brought in the past",
    responses={401: PROBLEM, 404: PROBLEM, 422: PROBLEM},
)
async def backfill(caller: CallingService, body: BackfillIn, request: Request) -> BackfillOut:
    """For imports and the demo. All of it or nothing; the same again adds nothing."""
    importer: Backfill = request.app.state.backfill
    appended = await importer.append(
        body.account_id,
        [Past(one.kind, one.observed_at, one.responses) for one in body.observations],
        correlation_id=metadata_of(request).correlation_id,
    )
    return BackfillOut(written=appended.written, duplicates=appended.duplicates)
