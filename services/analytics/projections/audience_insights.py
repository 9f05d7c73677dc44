"""The audience of an account, one row per day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid5

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.envelope import Cursor
from libs.contracts.event import Event, Value
from libs.contracts.ingestion import AudienceObserved
from libs.projections.arrays import bigints, dates, texts, times, uuids
from libs.projections.reader import Received, projection
from services.analytics.projections.tenancy import only, refuse_forged

_UPSERT = """
INSERT INTO audience_insights (id, social_account_id, snapshot_date, age_ranges, genders, countries,
  cities, active_hours, active_days, observed_at, xid, position)
SELECT id, account, day, ages::jsonb, genders::jsonb, countries::jsonb, cities::jsonb,
  hours::jsonb, days::jsonb, observed, xid, position
FROM unnest(%(ids)b::uuid[], %(accounts)b::uuid[], %(dates)b::date[], %(age_ranges)b::text[],
  %(genders)b::text[], %(countries)b::text[], %(cities)b::text[], %(active_hours)b::text[],
  %(active_days)b::text[], %(observed)b::timestamptz[], %(xids)b::int8[], %(positions)b::int8[])
  AS a (id, account, day, ages, genders, countries, cities, hours, days, observed, xid, position)
ON CONFLICT (social_account_id, snapshot_date) DO UPDATE SET
  age_ranges = excluded.age_ranges, genders = excluded.genders, countries = excluded.countries,
  cities = excluded.cities, active_hours = excluded.active_hours,
  active_days = excluded.active_days, observed_at = excluded.observed_at, xid = excluded.xid,
  position = excluded.position
WHERE (audience_insights.observed_at, audience_insights.xid, audience_insights.position)
   <= (excluded.observed_at, excluded.xid, excluded.position)
"""
_NEWEST = text(
    "SELECT id, snapshot_date, age_ranges, genders, countries, cities, active_hours, active_days"
    " FROM audience_insights WHERE social_account_id = :account AND snapshot_date <= :day"
    " ORDER BY snapshot_date DESC LIMIT 1"
)


def _place(item: Received[AudienceObserved]) -> tuple[datetime, Cursor]:
    return item.event.occurred_at, item.envelope.cursor


def _json(values: Sequence[Value] | None) -> str | None:
    if values is None:
        return None
    # The parts are flat, so their fields are all there is to them.
    return orjson.dumps([vars(value) for value in values]).decode()


async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """The newest observation of a day is its row, in whatever order observations arrive.

    Newest by the time of observation, then by the place in ingestion's log. A part that the
    platform cannot describe is NULL; an empty list is its word that there is nobody.
    """
    await refuse_forged(connection, batch)
    newest: dict[tuple[int, date], Received[AudienceObserved]] = {}
    for item in only(batch, AudienceObserved):
        key = (item.event.account_id.int, item.event.snapshot_date)
        if key not in newest or _place(newest[key]) <= _place(item):
            newest[key] = item
    items = list(newest.values())
    events = [item.event for item in items]
    await connection.exec_driver_sql(
        _UPSERT,
        {
            "ids": uuids(
                uuid5(event.account_id, event.snapshot_date.isoformat()) for event in events
            ),
            "accounts": uuids(event.account_id for event in events),
            "dates": dates(event.snapshot_date for event in events),
            "age_ranges": texts(_json(event.age_ranges) for event in events),
            "genders": texts(_json(event.genders) for event in events),
            "countries": texts(_json(event.countries) for event in events),
            "cities": texts(_json(event.cities) for event in events),
            "active_hours": texts(_json(event.active_hours) for event in events),
            "active_days": texts(_json(event.active_days) for event in events),
            "observed": times(event.occurred_at for event in events),
            "xids": bigints(item.envelope.cursor.xid for item in items),
            "positions": bigints(item.envelope.cursor.position for item in items),
        },
    )


READER = projection(
    "analytics.audience_insights",
    topics=["ingestion.events"],
    events=[AudienceObserved],
    apply=apply,
    tables=["audience_insights"],
)


async def newest(connection: AsyncConnection, account_id: UUID, day: date) -> Any:
    """The row of `day` or of the newest day before it; None if there is none."""
    return (await connection.execute(_NEWEST, {"account": account_id, "day": day})).one_or_none()
