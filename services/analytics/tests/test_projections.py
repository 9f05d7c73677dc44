"""The read models on a real database, whatever order events arrive in."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.contracts.accounts import AccountDisconnected, AccountReconnected, AccountReviewRequested
from libs.contracts.event import Event
from libs.contracts.ingestion import AgeRange
from libs.projections.reader import Poisoned, Reader, Received
from services.analytics.projections import (
    accounts,
    audience_insights,
    follower_changes,
    metrics_snapshots,
    top_content,
)
from services.analytics.tests.support import Connected, apply, at, received, rows

MINE = uuid4()
X = Connected(MINE, "x")


async def _rows_after(
    worker: AsyncEngine, reader: Reader, table: str, batches: Sequence[Sequence[Received[Event]]]
) -> list[dict[str, Any]]:
    """What the batches leave in a table that was empty."""
    for name in reader.tables:
        async with worker.begin() as connection:
            await connection.exec_driver_sql(f"DELETE FROM {name}")
    for batch in batches:
        await apply(worker, reader, batch)
    return await rows(worker, f"SELECT * FROM {table} ORDER BY id")


async def test_a_snapshot_keeps_what_the_platform_cannot_give_as_null(worker: AsyncEngine) -> None:
    await apply(worker, metrics_snapshots.READER, [X.metrics(at(2), followers_count=0, reach=7)])
    [row] = await rows(worker, "SELECT * FROM metrics_snapshots")
    assert (row["followers_count"], row["reach"]) == (0, 7)
    assert [row[name] for name in ("following_count", "impressions", "profile_views")] == [None] * 3
    assert row["extra_data"] == {}
    assert row["timestamp"] == at(2)


async def test_a_snapshot_of_a_month_long_ago_gets_a_partition(worker: AsyncEngine) -> None:
    moments = [at(2).replace(year=2019), at(2).replace(year=2020)]
    await apply(
        worker, metrics_snapshots.READER, [X.metrics(moment, reach=1) for moment in moments]
    )
    found = await rows(worker, "SELECT tableoid::regclass::text AS part FROM metrics_snapshots")
    assert sorted(row["part"] for row in found) == [
        "metrics_snapshots_2019_03",
        "metrics_snapshots_2020_03",
    ]


async def test_a_snapshot_of_an_absurd_time_falls_into_the_default(worker: AsyncEngine) -> None:
    await apply(worker, metrics_snapshots.READER, [X.metrics(at(2).replace(year=9999), reach=1)])
    [row] = await rows(worker, "SELECT tableoid::regclass::text AS part FROM metrics_snapshots")
    assert row["part"] == "metrics_snapshots_default"


async def _windows(worker: AsyncEngine) -> list[tuple[int | None, int | None]]:
    found = await rows(worker, 'SELECT * FROM metrics_snapshots ORDER BY "timestamp"')
    return [(row["impressions"], row["engagement_count"]) for row in found]


async def test_lifetime_sums_become_24_hours_by_the_snapshot_a_day_before(
    worker: AsyncEngine,
) -> None:
    snapshots = [
        X.metrics(at(2, 12), impressions_total=1_000, engagement_total=50),
        X.metrics(at(3, 11), impressions_total=1_300, engagement_total=60),
        X.metrics(at(3, 12), impressions_total=1_480, engagement_total=61),
        X.metrics(at(9, 12), impressions_total=9_000, engagement_total=99),
    ]
    await apply(worker, metrics_snapshots.READER, snapshots)
    # The second is 23 hours after the first: 300 in 23 hours are 313 in 24.
    assert await _windows(worker) == [(None, None), (313, 10), (480, 11), (None, None)]


async def test_a_sum_that_fell_leaves_the_24_hours_unknown(worker: AsyncEngine) -> None:
    snapshots = [
        X.metrics(at(2), impressions_total=3_000_000_000, engagement_total=50),
        X.metrics(at(3), impressions_total=2_900_000_000, engagement_total=50),
        X.metrics(at(4), impressions_total=2_900_000_100),
    ]
    await apply(worker, metrics_snapshots.READER, snapshots)
    assert await _windows(worker) == [(None, None), (None, 0), (100, None)]


async def test_a_platform_that_gives_24_hours_is_believed(worker: AsyncEngine) -> None:
    snapshots = [
        X.metrics(at(day), impressions=9, impressions_total=day, engagement_total=day * 10)
        for day in (2, 3)
    ]
    await apply(worker, metrics_snapshots.READER, snapshots)
    assert await _windows(worker) == [(9, None), (9, 10)]


async def test_snapshots_of_sums_do_not_depend_on_their_order(worker: AsyncEngine) -> None:
    chance = random.Random(7)
    history = [
        received(
            X.metrics(
                at(day, hour, chance.randrange(60)),
                impressions_total=1_000 * day + 40 * hour if chance.random() < 0.8 else None,
                engagement_total=100 * day + hour if chance.random() < 0.8 else None,
                followers_count=chance.randrange(100),
            )
        )
        for day in range(1, 8)
        for hour in range(0, 24, 3)
    ]
    reader = metrics_snapshots.READER
    first = await _rows_after(worker, reader, "metrics_snapshots", [history])
    assert any(row["impressions"] is not None for row in first)
    for _ in range(3):
        chance.shuffle(history)
        cut = chance.randrange(1, len(history))
        again = [history[:cut], history[cut:], history[: cut // 2]]
        assert await _rows_after(worker, reader, "metrics_snapshots", again) == first


async def test_only_events_that_name_the_follower_make_rows(worker: AsyncEngine) -> None:
    await apply(
        worker,
        follower_changes.READER,
        [X.gained(at(2), "ann", verified=True, follower_count=12), X.lost(at(3), "bob")],
    )
    await apply(worker, metrics_snapshots.READER, [X.metrics(at(3), followers_count=5)])
    found = await rows(worker, 'SELECT * FROM follower_changes ORDER BY "timestamp"')
    assert [(row["change_type"], row["user_id"], row["username"]) for row in found] == [
        ("new_follower", "ann", "@ann"),
        ("unfollower", "bob", "@bob"),
    ]
    assert [(row["verified"], row["follower_count"]) for row in found] == [(True, 12), (None, None)]


async def test_a_repeated_follow_event_is_one_row(worker: AsyncEngine) -> None:
    item = received(X.gained(at(2)))
    await apply(worker, follower_changes.READER, [item, item])
    await apply(worker, follower_changes.READER, [item])
    assert len(await rows(worker, "SELECT 1 FROM follower_changes")) == 1


@pytest.mark.parametrize(
    ("counts", "rate"),
    [
        ({"likes_count": 6, "comments_count": 2, "shares_count": 1, "saves_count": 1}, 5.0),
        ({"likes_count": 6, "saves_count": None}, 3.0),
        ({"likes_count": 6, "reach": 0}, None),
        ({"likes_count": 6, "reach": None}, None),
        ({}, None),
    ],
)
async def test_the_engagement_rate_is_the_data_models(
    worker: AsyncEngine, counts: dict[str, Any], rate: float | None
) -> None:
    await apply(worker, top_content.READER, [X.post(at(2), **{"reach": 200, **counts})])
    [row] = await rows(worker, "SELECT * FROM top_content")
    assert row["engagement_rate"] == rate
    assert row["reach"] == counts.get("reach", 200)


async def test_an_older_observation_of_a_post_never_overwrites(worker: AsyncEngine) -> None:
    newer, older = X.post(at(4), likes_count=9), X.post(at(3), likes_count=30)
    await apply(worker, top_content.READER, [newer])
    await apply(worker, top_content.READER, [older])
    [row] = await rows(worker, "SELECT * FROM top_content")
    assert (row["likes_count"], row["last_updated"]) == (9, at(4))


async def test_of_two_observations_at_one_time_the_later_in_the_log_counts(
    worker: AsyncEngine,
) -> None:
    first = received(X.post(at(4), likes_count=1), position=10)
    second = received(X.post(at(4), likes_count=2), position=11)
    for batches in ([[first, second]], [[second, first]], [[second], [first]]):
        [row] = await _rows_after(worker, top_content.READER, "top_content", batches)
        assert row["likes_count"] == 2


async def test_a_deleted_post_keeps_its_row_whichever_comes_first(worker: AsyncEngine) -> None:
    await apply(worker, top_content.READER, [X.deleted(at(4), "gone"), X.deleted(at(3), "gone")])
    await apply(worker, top_content.READER, [X.post(at(5), "gone", likes_count=3)])
    [row] = await rows(
        worker, "SELECT * FROM top_content JOIN deleted_posts USING (platform_post_id)"
    )
    assert (row["likes_count"], row["deleted_at"]) == (3, at(3))


async def test_the_audience_of_a_day_is_its_newest_description(worker: AsyncEngine) -> None:
    young = AgeRange(range="18-24", count=3)
    observations = [
        received(X.audience(at(4, 9), age_ranges=(young,), cities=())),
        received(X.audience(at(4, 18), age_ranges=None, cities=())),
        received(X.audience(at(5, 9), age_ranges=(young,))),
    ]
    first = await _rows_after(worker, audience_insights.READER, "audience_insights", [observations])
    by_day = {row["snapshot_date"]: row for row in first}
    assert by_day[date(2026, 3, 4)]["age_ranges"] is None
    assert by_day[date(2026, 3, 4)]["cities"] == []
    assert by_day[date(2026, 3, 5)]["age_ranges"] == [{"range": "18-24", "count": 3}]
    again = [[item] for item in reversed(observations)]
    assert await _rows_after(worker, audience_insights.READER, "audience_insights", again) == first


async def test_the_copy_of_an_account_follows_its_events(worker: AsyncEngine) -> None:
    about: dict[str, Any] = {"account_id": X.id, "workspace_id": MINE, "platform": "x"}

    async def state() -> tuple[str, str]:
        [row] = await rows(worker, "SELECT * FROM accounts")
        return row["handle"], row["status"]

    await apply(worker, accounts.READER, [X.connected()])
    assert await state() == ("rook", "active")
    await apply(worker, accounts.READER, [AccountReviewRequested(**about, reason="r")])
    assert await state() == ("rook", "needs_review")
    again = AccountReconnected(
        **about, handle="raven", platform_user_id="1", status="active", scopes=()
    )
    await apply(worker, accounts.READER, [AccountDisconnected(**about, reason="r"), again])
    assert await state() == ("raven", "active")
    await apply(worker, accounts.READER, [AccountDisconnected(**about, reason="r")])
    assert await state() == ("raven", "disconnected")


async def test_an_account_does_not_change_its_workspace(worker: AsyncEngine) -> None:
    await apply(worker, accounts.READER, [X.connected()])
    stolen = Connected(uuid4(), "x", id=X.id, handle="thief")
    item = received(stolen.connected())
    with pytest.raises(Poisoned) as refused:
        await apply(worker, accounts.READER, [item])
    assert refused.value.reasons == {item.envelope.id: "forged tenant"}
    [row] = await rows(worker, "SELECT * FROM accounts")
    assert (row["workspace_id"], row["handle"]) == (MINE, "rook")


@pytest.mark.parametrize(
    "reader",
    [
        metrics_snapshots.READER,
        follower_changes.READER,
        top_content.READER,
        audience_insights.READER,
    ],
    ids=lambda reader: reader.name,
)
async def test_an_event_of_another_tenant_is_refused_by_name(
    worker: AsyncEngine, reader: Reader
) -> None:
    make: Callable[[Connected, datetime], Event] = {
        "analytics.metrics_snapshots": Connected.metrics,
        "analytics.follower_changes": Connected.gained,
        "analytics.top_content": Connected.post,
        "analytics.audience_insights": Connected.audience,
    }[reader.name]  # type: ignore[assignment]
    theirs = uuid4()
    await apply(worker, accounts.READER, [X.connected()])
    honest = received(make(X, at(2)))
    forged_event = received(make(Connected(theirs, "x", id=X.id), at(2)))
    forged_envelope = received(make(X, at(2)), workspace_id=theirs)
    with pytest.raises(Poisoned) as refused:
        await apply(worker, reader, [honest, forged_event, forged_envelope])
    assert set(refused.value.reasons) == {forged_event.envelope.id, forged_envelope.envelope.id}
    assert set(refused.value.reasons.values()) == {"forged tenant"}
    for table in reader.tables:
        assert await rows(worker, f"SELECT 1 FROM {table}") == []
