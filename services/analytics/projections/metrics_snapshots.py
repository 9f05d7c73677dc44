"""What each poll of an account's own numbers said, and what the numbers were day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.chassis.partitions import ensure_partitions, month_of
from libs.contracts.event import Event
from libs.contracts.ingestion import AccountMetricsObserved
from libs.projections.arrays import bigints, integers, texts, times, uuids
from libs.projections.reader import Received, projection
from services.analytics.projections.tenancy import only, refuse_forged

TABLE = "metrics_snapshots"
# How things stand at a moment, and what happened in the 24 hours before it.
GAUGES = ("followers_count", "following_count", "posts_count")
WINDOWS = ("reach", "impressions", "engagement_count", "profile_views")

_UPSERT = """
INSERT INTO metrics_snapshots (id, social_account_id, "timestamp", followers_count,
  following_count, posts_count, reach, impressions, engagement_count, profile_views,
  impressions_total, engagement_total, extra_data)
SELECT id, account, at, followers, following, posts, reach, impressions, engagement, views,
  impressions_total, engagement_total, extra::jsonb
FROM unnest(%(ids)b::uuid[], %(accounts)b::uuid[], %(times)b::timestamptz[],
  %(followers_count)b::int4[], %(following_count)b::int4[], %(posts_count)b::int4[],
  %(reach)b::int4[], %(impressions)b::int4[], %(engagement_count)b::int4[],
  %(profile_views)b::int4[], %(impressions_total)b::int8[], %(engagement_total)b::int8[],
  %(extra)b::text[])
  AS s (id, account, at, followers, following, posts, reach, impressions, engagement, views,
        impressions_total, engagement_total, extra)
ON CONFLICT (id, "timestamp") DO UPDATE SET
  followers_count = excluded.followers_count, following_count = excluded.following_count,
  posts_count = excluded.posts_count, reach = excluded.reach, impressions = excluded.impressions,
  engagement_count = excluded.engagement_count, profile_views = excluded.profile_views,
  impressions_total = excluded.impressions_total, engagement_total = excluded.engagement_total,
  extra_data = excluded.extra_data
"""
# Where the platform knows only sums since the account began, the last 24 hours are the difference
# to the snapshot nearest to a day before, brought to 24 hours in proportion; none within 12 to 36
# hours, or a sum that fell (a post was deleted), leaves them unknown. A snapshot that arrives late
# may be the day before of others already here, so those are worked out again: the rows depend
# only on which snapshots there are, not on the order they came in.
NEW_TOTALS = "unnest(%(accounts)b::uuid[], %(times)b::timestamptz[]) AS new (account, at)"
FROM_TOTALS = f"""
WITH touched AS (
  SELECT DISTINCT m.id, m.social_account_id, m."timestamp", m.impressions_total,
    m.engagement_total
  FROM {NEW_TOTALS}
  JOIN metrics_snapshots m ON m.social_account_id = new.account
    AND (m."timestamp" = new.at
         OR m."timestamp" BETWEEN new.at + interval '12 hours' AND new.at + interval '36 hours')
  WHERE m.impressions_total IS NOT NULL OR m.engagement_total IS NOT NULL
), measured AS (
  SELECT t.id, t."timestamp", t.impressions_total IS NOT NULL AS has_impressions,
    t.engagement_total IS NOT NULL AS has_engagement,
    round((t.impressions_total - b.impressions_total) * b.factor) AS impressions,
    round((t.engagement_total - b.engagement_total) * b.factor) AS engagement
  FROM touched t
  LEFT JOIN LATERAL (
    SELECT impressions_total, engagement_total,
      86400 / extract(epoch FROM t."timestamp" - d."timestamp") AS factor
    FROM metrics_snapshots d
    WHERE d.social_account_id = t.social_account_id
      AND d."timestamp" BETWEEN t."timestamp" - interval '36 hours'
                            AND t."timestamp" - interval '12 hours'
      AND (t.impressions_total IS NULL OR d.impressions_total IS NOT NULL)
      AND (t.engagement_total IS NULL OR d.engagement_total IS NOT NULL)
    ORDER BY abs(extract(epoch FROM t."timestamp" - d."timestamp") - 86400), d."timestamp", d.id
    LIMIT 1
  ) b ON true
)
UPDATE metrics_snapshots m SET
  impressions = CASE WHEN NOT has_impressions THEN m.impressions
    WHEN d.impressions BETWEEN 0 AND 2147483647 THEN d.impressions END,
  engagement_count = CASE WHEN NOT has_engagement THEN m.engagement_count
    WHEN d.engagement BETWEEN 0 AND 2147483647 THEN d.engagement END
FROM measured d
WHERE m.id = d.id AND m."timestamp" = d."timestamp"
"""


async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """One row per event; the order of events does not matter. Months it meets are made."""
    await refuse_forged(connection, batch)
    items = {item.envelope.id: item.event for item in only(batch, AccountMetricsObserved)}
    events = list(items.values())
    await ensure_partitions(connection, TABLE, {month_of(event.occurred_at) for event in events})
    await connection.exec_driver_sql(
        _UPSERT,
        {
            "ids": uuids(items),
            "accounts": uuids(event.account_id for event in events),
            "times": times(event.occurred_at for event in events),
            **{
                name: integers(getattr(event, name) for event in events)
                for name in GAUGES + WINDOWS
            },
            # A sum is of use only where the platform does not give the 24 hours themselves.
            "impressions_total": bigints(
                event.impressions_total if event.impressions is None else None for event in events
            ),
            "engagement_total": bigints(
                event.engagement_total if event.engagement_count is None else None
                for event in events
            ),
            "extra": texts(orjson.dumps(event.extra_data).decode() for event in events),
        },
    )
    summed = [
        event
        for event in events
        if event.impressions_total is not None or event.engagement_total is not None
    ]
    if summed:
        await connection.exec_driver_sql(
            FROM_TOTALS,
            {
                "accounts": uuids(event.account_id for event in summed),
                "times": times(event.occurred_at for event in summed),
            },
        )


READER = projection(
    "analytics.metrics_snapshots",
    topics=["ingestion.events"],
    events=[AccountMetricsObserved],
    apply=apply,
    tables=[TABLE],
)

_COLUMNS = ", ".join(("id", '"timestamp"', *GAUGES, *WINDOWS, "extra_data"))
_LAST = ", ".join(
    f'(array_agg({name} ORDER BY "timestamp" DESC, id DESC) FILTER (WHERE {name} IS NOT NULL))[1]'
    f" AS {name}"
    for name in GAUGES + WINDOWS
)
_PER_DAY = f"""
SELECT social_account_id, width_bucket("timestamp", %(starts)s::timestamptz[]) - 1 AS day, {_LAST}
FROM metrics_snapshots
WHERE social_account_id = ANY(%(accounts)b::uuid[])
  AND "timestamp" >= %(since)s AND "timestamp" < %(until)s
GROUP BY 1, 2
"""
_BEFORE = """
SELECT a.id, m.n, {gauges}
FROM unnest(%(accounts)b::uuid[]) AS a (id)
CROSS JOIN unnest(%(moments)b::timestamptz[]) WITH ORDINALITY AS m (at, n)
""".format(
    gauges=", ".join(
        f"(SELECT {name} FROM metrics_snapshots s WHERE s.social_account_id = a.id"
        f' AND s."timestamp" < m.at AND s.{name} IS NOT NULL'
        f' ORDER BY s."timestamp" DESC, s.id DESC LIMIT 1) AS {name}'
        for name in GAUGES
    )
)


@dataclass(frozen=True, slots=True)
class Day:
    """The last known value of each number on one day; None where no snapshot of it says one.

    `reach`, `impressions`, `engagement_count` and `profile_views` are of 24 hours, so the last of
    a day stands for the day.
    """

    followers_count: int | None = None
    following_count: int | None = None
    posts_count: int | None = None
    reach: int | None = None
    impressions: int | None = None
    engagement_count: int | None = None
    profile_views: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The last known totals before a moment."""

    followers_count: int | None = None
    following_count: int | None = None
    posts_count: int | None = None


async def oldest_first(
    connection: AsyncConnection,
    account_id: UUID,
    *,
    since: datetime,
    until: datetime,
    after: tuple[Any, ...] | None,
    limit: int,
) -> Sequence[Any]:
    """Snapshots from `since` up to but not including `until`, behind `after` (timestamp, id)."""
    values: dict[str, Any] = {"account": account_id, "since": since, "until": until}
    behind = ""
    if after is not None:
        behind = 'AND ("timestamp", id) > (:after_time, :after_id)'
        values |= {"after_time": after[0], "after_id": after[1]}
    statement = text(
        f"SELECT {_COLUMNS} FROM metrics_snapshots"
        ' WHERE social_account_id = :account AND "timestamp" >= :since AND "timestamp" < :until'
        f' {behind} ORDER BY "timestamp", id LIMIT :limit'
    )
    return (await connection.execute(statement, values | {"limit": limit})).all()


async def per_day(
    connection: AsyncConnection,
    accounts: Sequence[UUID],
    starts: Sequence[datetime],
    until: datetime,
) -> dict[UUID, dict[int, Day]]:
    """By account and index of the day in `starts` (ascending); days without snapshots are absent."""
    rows: Any = await connection.exec_driver_sql(
        _PER_DAY,
        {"accounts": list(accounts), "starts": list(starts), "since": starts[0], "until": until},
    )
    days: dict[UUID, dict[int, Day]] = {account: {} for account in accounts}
    for account, day, *values in rows:
        days[account][day] = Day(*values)
    return days


async def standing(
    connection: AsyncConnection, accounts: Sequence[UUID], moments: Sequence[datetime]
) -> dict[UUID, list[Standing]]:
    """For each account what was last known before each of the moments, however long before."""
    rows: Any = await connection.exec_driver_sql(
        _BEFORE, {"accounts": list(accounts), "moments": list(moments)}
    )
    found = {account: [Standing()] * len(moments) for account in accounts}
    for account, number, *values in rows:
        found[account][number - 1] = Standing(*values)
    return found
