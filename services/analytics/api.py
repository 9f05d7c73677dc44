"""What analytics is asked. All of it is open to every member."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.chassis.access import Access, AnyMember
from libs.chassis.errors import NotFound, Unprocessable
from libs.chassis.http import StrictRoute
from libs.chassis.moments import Moment
from libs.chassis.pages import CursorParameter, Limit, Page, decode_cursor, page_of
from services.analytics import charts, summary
from services.analytics.models import (
    AccountFigures,
    Audience,
    Content,
    Figures,
    FollowerChange,
    MetricsPoint,
    MetricsSnapshot,
    WorkspaceSummary,
)
from services.analytics.periods import DEFAULT_DAYS, period
from services.analytics.projections import (
    accounts,
    audience_insights,
    follower_changes,
    metrics_snapshots,
    top_content,
)
from services.analytics.projections.accounts import Account
from services.analytics.projections.follower_changes import ChangeType
from services.analytics.projections.top_content import Sort

Interval = Literal["raw", "day", "week"]
LONGEST_DAYS = {"raw": 400, "day": 400, "week": 2000, "summary": 400}
PROBLEM: dict[str, Any] = {"content": {"application/problem+json": {}}}


class AccountNotFound(NotFound):
    slug = "account-not-found"
    title = "No such account in this workspace; if it was connected a moment ago, try again"


class AudienceNotFound(NotFound):
    slug = "audience-not-found"
    title = "Nothing is known of this account's audience on that day or before"


@dataclass(frozen=True, slots=True)
class Span:
    """`since` (None: not given) up to but not including `until`."""

    since: datetime | None
    until: datetime

    @property
    def begin(self) -> datetime:
        """`since`, or 30 days before `until`."""
        return self.since or self.until - timedelta(days=DEFAULT_DAYS)

    def check(self, longest_days: int) -> None:
        """Raise Unprocessable when the span is longer than that."""
        if self.until - self.begin > timedelta(days=longest_days):
            raise Unprocessable(f"Ask for at most {longest_days} days", field="since")


def _span(
    request: Request,
    *,
    since: Annotated[
        Moment | None, Query(description="included; 30 days before `until` by default")
    ] = None,
    until: Annotated[Moment | None, Query(description="not included; default now")] = None,
) -> Span:
    until = until or request.app.state.clock.now()
    if since is not None and since >= until:
        raise Unprocessable("`since` must lie before `until`", field="since")
    return Span(since, until)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(
    tz: Annotated[str, Query(max_length=64, description="IANA name, as Europe/Berlin")] = "UTC",
) -> ZoneInfo:
    if tz not in _zones():
        raise Unprocessable("That is not the name of a time zone", field="tz")
    return ZoneInfo(tz)


InSpan = Annotated[Span, Depends(_span)]
Zone = Annotated[ZoneInfo, Depends(_zone)]


@asynccontextmanager
async def _account(access: Access, account: UUID) -> AsyncIterator[tuple[AsyncConnection, Account]]:
    """A transaction, and the account in it. Raises AccountNotFound."""
    async with access.transaction() as connection:
        found = await accounts.find(connection, account)
        if found is None:
            raise AccountNotFound
        yield connection, found


routes = APIRouter(
    prefix="/v1/workspaces/{ws}",
    tags=["analytics"],
    route_class=StrictRoute,
    responses={404: PROBLEM, 422: PROBLEM},
)


@routes.get("/accounts/{account}/metrics", summary="An account's numbers over time, oldest first")
async def metrics(
    access: AnyMember,
    account: UUID,
    span: InSpan,
    zone: Zone,
    *,
    interval: Interval = "day",
    limit: Limit = 100,
    cursor: CursorParameter = None,
) -> Page[MetricsPoint] | Page[MetricsSnapshot]:
    """`raw` gives each observation, by pages. `day` and `week` (from Monday) give every day or
    week of the time zone that the span touches, whole and all on one page.
    """
    span.check(LONGEST_DAYS[interval])
    async with _account(access, account) as (connection, found):
        if interval != "raw":
            points = await charts.read(
                connection, found, period(span.since, span.until, zone), interval
            )
            return Page(
                items=[MetricsPoint.model_validate(item) for item in points], next_cursor=None
            )
        rows = await metrics_snapshots.oldest_first(
            connection,
            account,
            since=span.begin,
            until=span.until,
            after=decode_cursor(cursor, datetime.fromisoformat, UUID) if cursor else None,
            limit=limit + 1,
        )
    page, following = page_of(rows, limit, lambda row: (row.timestamp, row.id))
    return Page(items=[MetricsSnapshot.model_validate(row) for row in page], next_cursor=following)


@routes.get("/accounts/{account}/follower-changes", summary="Who followed and who left")
async def changes(
    access: AnyMember,
    account: UUID,
    span: InSpan,
    *,
    change_type: ChangeType | None = None,
    limit: Limit = 50,
    cursor: CursorParameter = None,
) -> Page[FollowerChange]:
    """Newest first. Empty where the platform does not name followers: see `net_followers` of the
    metrics for those.
    """
    async with _account(access, account) as (connection, _):
        rows = await follower_changes.newest_first(
            connection,
            account,
            since=span.begin,
            until=span.until,
            change_type=change_type,
            after=decode_cursor(cursor, datetime.fromisoformat, UUID) if cursor else None,
            limit=limit + 1,
        )
    page, following = page_of(rows, limit, lambda row: (row.timestamp, row.id))
    return Page(items=[FollowerChange.model_validate(row) for row in page], next_cursor=following)


@routes.get("/accounts/{account}/top-content", summary="Posts, the best first")
async def content(
    access: AnyMember,
    account: UUID,
    span: InSpan,
    *,
    sort: Sort = "engagement_rate",
    limit: Limit = 50,
    cursor: CursorParameter = None,
) -> Page[Content]:
    """Posts posted in the span, by `sort` downwards; those where it is unknown come last."""
    async with _account(access, account) as (connection, _):
        rows = await top_content.best_first(
            connection,
            account,
            sort=sort,
            since=span.begin,
            until=span.until,
            after=_content_cursor(cursor, sort) if cursor else None,
            limit=limit + 1,
        )
    page, following = page_of(rows, limit, lambda row: (sort, getattr(row, sort), row.id))
    return Page(items=[Content.model_validate(row) for row in page], next_cursor=following)


def _content_cursor(cursor: str, sort: Sort) -> tuple[Any, UUID]:
    kinds: dict[str, Any] = {"engagement_rate": float, "posted_at": datetime.fromisoformat}
    made_for, value, row = decode_cursor(cursor, str, kinds.get(sort, int), UUID)
    if made_for != sort:
        raise Unprocessable("The cursor belongs to another sort", field="cursor")
    return value, row


@routes.get("/accounts/{account}/audience", summary="Who the followers are")
async def audience(
    access: AnyMember,
    account: UUID,
    request: Request,
    *,
    date: Annotated[date | None, Query(description="default today, in UTC")] = None,
) -> Audience:
    """As described on that day, or on the newest day before it that has a description."""
    day = date or request.app.state.clock.now().date()
    async with _account(access, account) as (connection, _):
        row = await audience_insights.newest(connection, account, day)
    if row is None:
        raise AudienceNotFound
    return Audience.model_validate(row)


@routes.get("/summary", summary="All accounts, against the period before")
async def overview(access: AnyMember, span: InSpan, zone: Zone) -> WorkspaceSummary:
    """Over the whole days of the time zone that the span touches (default: the last 30, today
    included), compared with as many days before them. Disconnected accounts are included.
    """
    span.check(LONGEST_DAYS["summary"])
    days = period(span.since, span.until, zone)
    async with access.transaction() as connection:
        found = await summary.read(connection, days)
    return WorkspaceSummary(
        since=days.since,
        until=days.until,
        previous_since=days.before().since,
        days=days.days,
        totals=Figures.model_validate(found.totals),
        accounts=[
            AccountFigures(
                social_account_id=account.id,
                platform=account.platform,
                handle=account.handle,
                status=account.status,
                **Figures.model_validate(figures).model_dump(),
            )
            for account, figures in found.accounts
        ],
    )
