"""An account's numbers by day or week: how snapshots become the points of a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.analytics.periods import Bucket, Bucketing, Period, start_of
from services.analytics.projections import follower_changes, metrics_snapshots
from services.analytics.projections.accounts import Account
from services.analytics.projections.follower_changes import Named
from services.analytics.projections.metrics_snapshots import GAUGES, WINDOWS, Day, Standing


@dataclass(frozen=True, slots=True)
class Point:
    """A day or week of an account; see `chart` for what the numbers mean."""

    timestamp: datetime
    until: datetime
    date: date
    followers_count: int | None
    following_count: int | None
    posts_count: int | None
    reach: int | None
    impressions: int | None
    engagement_count: int | None
    profile_views: int | None
    net_followers: int | None
    followers_gained: int | None
    followers_lost: int | None


def chart(
    buckets: Sequence[Bucket],
    days: Mapping[date, Day],
    named: Mapping[date, Named] | None,
    before: Standing,
) -> list[Point]:
    """One point per bucket, those without any snapshot included. Pure.

    Totals (followers, following, posts) are the last known within the bucket. The others are of
    24 hours: each day has its last one, a week the sum of its days' (so the reach of a week counts
    a person once per day). `net_followers` is the change to the last total known before the
    bucket, `before` standing for all that was before the first; over several points it adds up to
    the change over them all. `named` are the followers named by the platform, None where it does
    not name them. None is always "unknown", never 0.
    """
    points = []
    followers = before.followers_count
    for bucket in buckets:
        known = [days[day] for day in bucket.days if day in days]
        last = {name: _last([getattr(day, name) for day in known]) for name in GAUGES}
        sums = {name: total([getattr(day, name) for day in known]) for name in WINDOWS}
        now = last["followers_count"]
        who = [named[day] for day in bucket.days if day in named] if named is not None else None
        points.append(
            Point(
                timestamp=bucket.since,
                until=bucket.until,
                date=bucket.days[0],
                **last,
                **sums,
                net_followers=None if now is None or followers is None else now - followers,
                followers_gained=None if who is None else sum(day.gained for day in who),
                followers_lost=None if who is None else sum(day.lost for day in who),
            )
        )
        followers = followers if now is None else now
    return points


def total(values: Sequence[int | None]) -> int | None:
    """The sum of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _last(values: Sequence[int | None]) -> int | None:
    return next((value for value in reversed(values) if value is not None), None)


async def read(
    connection: AsyncConnection, account: Account, period: Period, by: Bucketing
) -> list[Point]:
    """The account's chart over the days or weeks that the period touches."""
    buckets = period.buckets(by)
    dates = [day for bucket in buckets for day in bucket.days]
    starts = [start_of(day, period.zone) for day in dates]
    until = buckets[-1].until
    days = await metrics_snapshots.per_day(connection, [account.id], starts, until)
    before = await metrics_snapshots.standing(connection, [account.id], starts[:1])
    named = None
    if account.platform in follower_changes.NAMED_BY:
        counts = await follower_changes.per_day(connection, account.id, starts, until)
        named = {dates[index]: count for index, count in counts.items()}
    return chart(
        buckets,
        {dates[index]: day for index, day in days[account.id].items()},
        named,
        before[account.id][0],
    )
