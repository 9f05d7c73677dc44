"""Who followed and who left, where the platform names the person. Nothing else makes a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.event import Event
from libs.contracts.ingestion import FollowerGained, FollowerLost
from libs.projections.arrays import booleans, integers, texts, times, uuids
from libs.projections.reader import Received, projection
from services.analytics.projections.tenancy import only, refuse_forged

ChangeType = Literal["new_follower", "unfollower"]

# Platforms whose events name the follower. The others tell a count only, or nothing.
NAMED_BY = frozenset({"x"})

_UPSERT = """
INSERT INTO follower_changes (id, social_account_id, change_type, user_id, username, "timestamp",
                              profile_pic_url, verified, follower_count)
SELECT * FROM unnest(%(ids)b::uuid[], %(accounts)b::uuid[], %(types)b::text[], %(users)b::text[],
                     %(usernames)b::text[], %(times)b::timestamptz[], %(pictures)b::text[],
                     %(verified)b::bool[], %(followers)b::int4[])
ON CONFLICT (id) DO UPDATE SET
  social_account_id = excluded.social_account_id, change_type = excluded.change_type,
  user_id = excluded.user_id, username = excluded.username, "timestamp" = excluded."timestamp",
  profile_pic_url = excluded.profile_pic_url, verified = excluded.verified,
  follower_count = excluded.follower_count
"""
_COLUMNS = (
    'id, change_type, user_id, username, "timestamp", profile_pic_url, verified, follower_count,'
    " extra_data"
)
_PER_DAY = """
SELECT width_bucket("timestamp", %(starts)s::timestamptz[]) - 1 AS day,
  count(*) FILTER (WHERE change_type = 'new_follower') AS gained,
  count(*) FILTER (WHERE change_type = 'unfollower') AS lost
FROM follower_changes
WHERE social_account_id = %(account)s AND "timestamp" >= %(since)s AND "timestamp" < %(until)s
GROUP BY 1
"""


async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """One row per event; the order of events does not matter."""
    await refuse_forged(connection, batch)
    named: list[Received[FollowerGained | FollowerLost]] = only(batch, FollowerGained, FollowerLost)
    items = {item.envelope.id: item.event for item in named}
    events = list(items.values())
    await connection.exec_driver_sql(
        _UPSERT,
        {
            "ids": uuids(items),
            "accounts": uuids(event.account_id for event in events),
            "types": texts(
                "new_follower" if isinstance(event, FollowerGained) else "unfollower"
                for event in events
            ),
            "users": texts(event.user_id for event in events),
            "usernames": texts(event.username for event in events),
            "times": times(event.occurred_at for event in events),
            "pictures": texts(event.profile_pic_url for event in events),
            "verified": booleans(event.verified for event in events),
            "followers": integers(event.follower_count for event in events),
        },
    )


READER = projection(
    "analytics.follower_changes",
    topics=["ingestion.events"],
    events=[FollowerGained, FollowerLost],
    apply=apply,
    tables=["follower_changes"],
)


@dataclass(frozen=True, slots=True)
class Named:
    """How many people were named as gained and as lost."""

    gained: int = 0
    lost: int = 0


async def newest_first(
    connection: AsyncConnection,
    account_id: UUID,
    *,
    since: datetime,
    until: datetime,
    change_type: ChangeType | None,
    after: tuple[Any, ...] | None,
    limit: int,
) -> Sequence[Any]:
    """Rows from `since` up to but not including `until`, behind `after` (timestamp, id)."""
    conditions = ['social_account_id = :account AND "timestamp" >= :since AND "timestamp" < :until']
    values: dict[str, Any] = {"account": account_id, "since": since, "until": until}
    if change_type is not None:
        conditions.append("change_type = :change_type")
        values["change_type"] = change_type
    if after is not None:
        conditions.append('("timestamp", id) < (:after_time, :after_id)')
        values |= {"after_time": after[0], "after_id": after[1]}
    statement = text(
        f"SELECT {_COLUMNS} FROM follower_changes WHERE {' AND '.join(conditions)}"
        ' ORDER BY "timestamp" DESC, id DESC LIMIT :limit'
    )
    return (await connection.execute(statement, values | {"limit": limit})).all()


async def per_day(
    connection: AsyncConnection, account_id: UUID, starts: Sequence[datetime], until: datetime
) -> dict[int, Named]:
    """Counts by the index of the day in `starts` (ascending); days without any are absent."""
    rows = await connection.exec_driver_sql(
        _PER_DAY,
        {"account": account_id, "starts": list(starts), "since": starts[0], "until": until},
    )
    return {row.day: Named(row.gained, row.lost) for row in rows}
