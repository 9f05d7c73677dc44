"""Each post with its newest known numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid5

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.envelope import Cursor
from libs.contracts.event import Event
from libs.contracts.ingestion import PostDeleted, PostMetricsObserved
from libs.projections.arrays import bigints, floats, integers, texts, times, uuids
from libs.projections.reader import Received, projection
from services.analytics.projections.tenancy import only, refuse_forged

Sort = Literal[
    "engagement_rate",
    "likes_count",
    "comments_count",
    "shares_count",
    "saves_count",
    "reach",
    "posted_at",
]
_UPSERT = """
INSERT INTO top_content (id, social_account_id, platform_post_id, post_url, caption, media_type,
  likes_count, comments_count, shares_count, saves_count, reach, engagement_rate, posted_at,
  last_updated, xid, position)
SELECT * FROM unnest(%(ids)b::uuid[], %(accounts)b::uuid[], %(posts)b::text[], %(urls)b::text[],
  %(captions)b::text[], %(media)b::text[], %(likes)b::int4[], %(comments)b::int4[],
  %(shares)b::int4[], %(saves)b::int4[], %(reach)b::int4[], %(rates)b::float8[],
  %(posted)b::timestamptz[], %(observed)b::timestamptz[], %(xids)b::int8[], %(positions)b::int8[])
ON CONFLICT (social_account_id, platform_post_id) DO UPDATE SET
  post_url = excluded.post_url, caption = excluded.caption, media_type = excluded.media_type,
  likes_count = excluded.likes_count, comments_count = excluded.comments_count,
  shares_count = excluded.shares_count, saves_count = excluded.saves_count,
  reach = excluded.reach, engagement_rate = excluded.engagement_rate,
  posted_at = excluded.posted_at, last_updated = excluded.last_updated, xid = excluded.xid,
  position = excluded.position
WHERE (top_content.last_updated, top_content.xid, top_content.position)
   <= (excluded.last_updated, excluded.xid, excluded.position)
"""
_DELETED = """
INSERT INTO deleted_posts (social_account_id, platform_post_id, deleted_at)
SELECT account, post, min(at)
FROM unnest(%(accounts)b::uuid[], %(posts)b::text[], %(times)b::timestamptz[])
  AS gone (account, post, at)
GROUP BY account, post
ON CONFLICT (social_account_id, platform_post_id)
DO UPDATE SET deleted_at = least(deleted_posts.deleted_at, excluded.deleted_at)
"""
_COLUMNS = (
    "t.id, t.platform_post_id, t.post_url, t.caption, t.media_type, t.likes_count,"
    " t.comments_count, t.shares_count, t.saves_count, t.reach, t.engagement_rate, t.posted_at,"
    " t.last_updated, d.deleted_at"
)


def engagement_rate(event: PostMetricsObserved) -> float | None:
    """`(likes + comments + shares + saves) / reach * 100`, the data model's formula.

    None when the reach is 0 or unknown, or none of the four is known; one that the platform
    cannot give adds nothing.
    """
    counts = (event.likes_count, event.comments_count, event.shares_count, event.saves_count)
    known = [count for count in counts if count is not None]
    if not event.reach or not known:
        return None
    return sum(known) / event.reach * 100


def _place(item: Received[PostMetricsObserved]) -> tuple[datetime, Cursor]:
    return item.event.occurred_at, item.envelope.cursor


async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """The newest observation of a post is its row, in whatever order observations arrive.

    Newest by the time of observation, then by the place in ingestion's log. A deleted post keeps
    its row, because its numbers were true; the deletion is noted beside it, so that it counts
    whichever comes first.
    """
    await refuse_forged(connection, batch)
    newest: dict[tuple[int, str], Received[PostMetricsObserved]] = {}
    for item in only(batch, PostMetricsObserved):
        key = (item.event.account_id.int, item.event.platform_post_id)
        if key not in newest or _place(newest[key]) <= _place(item):
            newest[key] = item
    if newest:
        await _upsert(connection, list(newest.values()))
    gone = [item.event for item in only(batch, PostDeleted)]
    if gone:
        await connection.exec_driver_sql(
            _DELETED,
            {
                "accounts": uuids(event.account_id for event in gone),
                "posts": texts(event.post_id for event in gone),
                "times": times(event.occurred_at for event in gone),
            },
        )


async def _upsert(
    connection: AsyncConnection, items: Sequence[Received[PostMetricsObserved]]
) -> None:
    events = [item.event for item in items]
    await connection.exec_driver_sql(
        _UPSERT,
        {
            "ids": uuids(uuid5(event.account_id, event.platform_post_id) for event in events),
            "accounts": uuids(event.account_id for event in events),
            "posts": texts(event.platform_post_id for event in events),
            "urls": texts(event.post_url for event in events),
            "captions": texts(event.caption for event in events),
            "media": texts(event.media_type for event in events),
            "likes": integers(event.likes_count for event in events),
            "comments": integers(event.comments_count for event in events),
            "shares": integers(event.shares_count for event in events),
            "saves": integers(event.saves_count for event in events),
            "reach": integers(event.reach for event in events),
            "rates": floats(engagement_rate(event) for event in events),
            "posted": times(event.posted_at for event in events),
            "observed": times(event.occurred_at for event in events),
            "xids": bigints(item.envelope.cursor.xid for item in items),
            "positions": bigints(item.envelope.cursor.position for item in items),
        },
    )


READER = projection(
    "analytics.top_content",
    topics=["ingestion.events"],
    events=[PostMetricsObserved, PostDeleted],
    apply=apply,
    tables=["top_content", "deleted_posts"],
)


async def best_first(
    connection: AsyncConnection,
    account_id: UUID,
    *,
    sort: Sort,
    since: datetime,
    until: datetime,
    after: tuple[Any, UUID] | None,
    limit: int,
) -> Sequence[Any]:
    """Posts posted in the time, highest `sort` first, unknown last, behind `after` (value, id).

    `deleted_at` says when the platform reported the post as deleted.
    """
    conditions = [
        "t.social_account_id = :account AND t.posted_at >= :since AND t.posted_at < :until"
    ]
    values: dict[str, Any] = {"account": account_id, "since": since, "until": until}
    if after is not None:
        value, values["after_id"] = after
        if value is None:
            conditions.append(f"t.{sort} IS NULL AND t.id > :after_id")
        else:
            conditions.append(
                f"(t.{sort} < :after OR t.{sort} IS NULL OR (t.{sort} = :after AND t.id > :after_id))"
            )
            values["after"] = value
    statement = text(
        f"SELECT {_COLUMNS} FROM top_content t"
        " LEFT JOIN deleted_posts d USING (social_account_id, platform_post_id)"
        f" WHERE {' AND '.join(conditions)} ORDER BY t.{sort} DESC NULLS LAST, t.id LIMIT :limit"
    )
    return (await connection.execute(statement, values | {"limit": limit})).all()
