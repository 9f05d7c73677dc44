"""The queries over real HTTP, with numbers worked out by hand."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from libs.contracts.ingestion import AgeRange, GenderCount
from services.analytics.projections import (
    audience_insights,
    follower_changes,
    metrics_snapshots,
    top_content,
)
from services.analytics.tests.support import Connected, Running, at

METRICS = metrics_snapshots.READER
SPAN = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-05T00:00:00Z"}


async def test_raw_metrics_come_by_pages_oldest_first(running: Running) -> None:
    account = await running.connect()
    # Two at one moment: the page boundary between them neither skips nor repeats.
    moments = [at(1), at(2), at(2), at(3), at(5)]
    await running.apply(
        METRICS, *[account.metrics(moment, reach=n) for n, moment in enumerate(moments)]
    )
    path = f"/accounts/{account.id}/metrics"
    found = await running.read_pages(path, interval="raw", limit=2, **SPAN)
    assert [item["timestamp"] for item in found] == [
        "2026-03-01T12:00:00Z",
        "2026-03-02T12:00:00Z",
        "2026-03-02T12:00:00Z",
        "2026-03-03T12:00:00Z",
    ]
    assert sorted(item["reach"] for item in found) == [0, 1, 2, 3]
    assert found[0]["followers_count"] is None


async def test_metrics_by_day_are_the_last_of_each_local_day(running: Running) -> None:
    account = await running.connect()
    await running.apply(
        METRICS,
        account.metrics(at(20, month=2), followers_count=90),
        account.metrics(at(1, 9), followers_count=100, reach=10),
        account.metrics(at(1, 22), followers_count=105, reach=12),
        # 00:30 of 2 March in Berlin
        account.metrics(at(1, 23, 30), followers_count=107, reach=13),
        account.metrics(at(3, 9), reach=20),
    )
    page = await running.read(f"/accounts/{account.id}/metrics", tz="Europe/Berlin", **SPAN)
    assert page["next_cursor"] is None
    seen = [
        (item["date"], item["followers_count"], item["net_followers"], item["reach"])
        for item in page["items"]
    ]
    assert seen == [
        ("2026-03-01", 105, 15, 12),
        ("2026-03-02", 107, 2, 13),
        ("2026-03-03", None, None, 20),
        ("2026-03-04", None, None, None),
        ("2026-03-05", None, None, None),  # `until` is one o'clock of it in Berlin
    ]
    assert page["items"][0]["timestamp"] == "2026-02-28T23:00:00Z"
    assert page["items"][0]["followers_gained"] is None


async def test_metrics_by_week_over_the_change_of_clocks(running: Running) -> None:
    account = await running.connect()
    await running.apply(
        METRICS,
        account.metrics(at(22, 22, 30), reach=1),  # Sunday 23:30 in Berlin: the week before
        account.metrics(at(22, 23, 30), reach=10),  # Monday 00:30
        account.metrics(at(29, 21, 30), reach=100),  # Sunday 23:30, summer time by now
        account.metrics(at(29, 22, 30), reach=1000),  # Monday 00:30: the week after
    )
    page = await running.read(
        f"/accounts/{account.id}/metrics",
        interval="week",
        tz="Europe/Berlin",
        since="2026-03-25T00:00:00Z",
        until="2026-03-26T00:00:00Z",
    )
    [week] = page["items"]
    assert week["reach"] == 110
    assert (week["timestamp"], week["until"]) == ("2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z")


async def test_metrics_of_x_count_the_named_followers_by_local_day(running: Running) -> None:
    account = await running.connect("x")
    await running.apply(
        follower_changes.READER,
        account.gained(at(1, 10), "a"),
        account.gained(at(1, 23, 30), "b"),
        account.lost(at(2, 10), "c"),
        account.gained(at(6, 10), "d"),
    )
    page = await running.read(f"/accounts/{account.id}/metrics", tz="Europe/Berlin", **SPAN)
    named = [(item["followers_gained"], item["followers_lost"]) for item in page["items"]]
    assert named == [(1, 0), (1, 1), (0, 0), (0, 0), (0, 0)]


async def test_metrics_default_to_thirty_days_by_day(running: Running) -> None:
    account = await running.connect()
    page = await running.read(f"/accounts/{account.id}/metrics")
    assert len(page["items"]) == 30
    assert page["items"][-1]["date"] == "2026-03-02"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"tz": "Mars/Olympus"}, "tz"),
        ({"tz": "../../etc/passwd"}, "tz"),
        ({"since": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"}, "since"),
        ({"since": "2024-01-01T00:00:00Z"}, "since"),
    ],
)
async def test_a_bad_span_or_zone_is_422_and_named(
    running: Running, query: dict[str, str], field: str
) -> None:
    account = await running.connect()
    answer = await running.get(f"/accounts/{account.id}/metrics", **query)
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert not any(value in answer.text for value in query.values())


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-03-01T00:00:00"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"since": "10000-01-01T00:00:00Z"},
        {"since": "NaN"},
        {"interval": "month"},
        {"limit": "0"},
        {"interval": "raw", "cursor": "bm90IG9uZQ"},
        {"interval": "raw", "cursor": "WyIyMDI2IiwgMV0"},
    ],
)
async def test_malformed_parameters_are_422(running: Running, query: dict[str, str]) -> None:
    account = await running.connect()
    answer = await running.get(f"/accounts/{account.id}/metrics", **query)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_follower_changes_come_newest_first_and_filtered(running: Running) -> None:
    account = await running.connect("x")
    await running.apply(
        follower_changes.READER,
        *[account.gained(at(1, hour), f"u{hour}", verified=True) for hour in range(5)],
        account.lost(at(1, 6), "u6"),
    )
    path = f"/accounts/{account.id}/follower-changes"
    page = await running.read(path, limit=4)
    rest = await running.read(path, limit=4, cursor=page["next_cursor"])
    users = [item["user_id"] for item in page["items"] + rest["items"]]
    assert users == ["u6", "u4", "u3", "u2", "u1", "u0"]
    assert rest["next_cursor"] is None
    [lost] = (await running.read(path, change_type="unfollower"))["items"]
    assert (lost["username"], lost["verified"]) == ("@u6", None)
    assert (await running.get(path, change_type="maybe")).status_code == 422


@pytest.mark.parametrize("sort", ["engagement_rate", "likes_count", "posted_at"])
async def test_top_content_sorts_by_what_is_asked_with_unknown_last(
    running: Running, sort: str
) -> None:
    account = await running.connect()
    posts: list[dict[str, Any]] = [
        {"likes_count": 10, "reach": 100},
        {"likes_count": 10, "reach": 100},
        {"likes_count": 30, "reach": 1000},
        {"likes_count": None, "reach": 10},
        {"likes_count": 7, "reach": 0},
        {"likes_count": None, "reach": None},
    ]
    await running.apply(
        top_content.READER,
        *[
            account.post(at(2), f"p{n}", posted_at=at(1, n), **numbers)
            for n, numbers in enumerate(posts)
        ],
        account.deleted(at(2), "p2"),
    )
    items = await running.read_pages(f"/accounts/{account.id}/top-content", sort=sort, limit=2)
    assert len({item["platform_post_id"] for item in items}) == len(posts) == len(items)
    values = [item[sort] for item in items]
    known = [value for value in values if value is not None]
    assert values == sorted(known, reverse=True) + [None] * (len(values) - len(known))
    deleted = {item["platform_post_id"] for item in items if item["deleted_at"]}
    assert deleted == {"p2"}


async def test_a_cursor_of_another_sort_is_refused(running: Running) -> None:
    account = await running.connect()
    await running.apply(top_content.READER, *[account.post(at(2), f"p{n}") for n in range(3)])
    path = f"/accounts/{account.id}/top-content"
    cursor = (await running.read(path, sort="reach", limit=1))["next_cursor"]
    assert (await running.get(path, sort="likes_count", cursor=cursor)).status_code == 422


async def test_top_content_since_leaves_older_posts_out(running: Running) -> None:
    account = await running.connect()
    await running.apply(
        top_content.READER,
        account.post(at(2), "old", posted_at=at(1, month=1)),
        account.post(at(2), "new", posted_at=at(1)),
    )
    path = f"/accounts/{account.id}/top-content"
    assert [item["platform_post_id"] for item in (await running.read(path))["items"]] == ["new"]
    more = await running.read(path, since="2025-12-01T00:00:00Z", sort="posted_at")
    assert [item["platform_post_id"] for item in more["items"]] == ["new", "old"]


async def test_the_audience_is_of_that_day_or_the_newest_before(running: Running) -> None:
    account = await running.connect()
    path = f"/accounts/{account.id}/audience"
    assert (await running.get(path)).json()["type"].endswith("audience-not-found")
    await running.apply(
        audience_insights.READER,
        account.audience(at(10, month=2), age_ranges=(AgeRange(range="18-24", count=3),)),
        account.audience(at(20, month=2), genders=(GenderCount(gender="female", count=2),)),
    )
    newest = await running.read(path)
    assert newest["snapshot_date"] == "2026-02-20"
    assert (newest["genders"], newest["age_ranges"]) == ([{"gender": "female", "count": 2}], None)
    older = await running.read(path, date="2026-02-19")
    assert (older["snapshot_date"], older["age_ranges"][0]["count"]) == ("2026-02-10", 3)
    assert (await running.get(path, date="2026-02-09")).status_code == 404


async def test_the_summary_is_arithmetic(running: Running) -> None:
    first, second = await running.connect("instagram"), await running.connect("x", handle="b")
    new = await running.connect("linkedin", handle="c")
    span = {"since": "2026-02-27T00:00:00Z", "until": "2026-03-01T00:00:00Z"}
    feb = {"month": 2}
    await running.apply(
        METRICS,
        # before the period before: 1000 followers
        first.metrics(at(20, **feb), followers_count=1000, posts_count=10),
        # the period before, 25 and 26 February
        first.metrics(at(25, **feb), followers_count=1020, reach=100, impressions=0),
        first.metrics(at(26, 8, **feb), reach=900),
        first.metrics(at(26, 20, **feb), followers_count=1050, reach=200, impressions=0),
        # the period, 27 and 28 February
        first.metrics(at(27, **feb), followers_count=1060, reach=150, impressions=40),
        first.metrics(at(28, **feb), followers_count=1130, reach=300, posts_count=13),
        # after it
        first.metrics(at(1), followers_count=9999, reach=9999),
        second.metrics(at(20, **feb), followers_count=500),
        second.metrics(at(26, **feb), followers_count=450, reach=50),
        second.metrics(at(28, **feb), followers_count=440, reach=25),
        new.metrics(at(28, **feb), followers_count=70, reach=7),
    )
    found = await running.read("/summary", **span)
    assert (found["since"], found["until"]) == ("2026-02-27T00:00:00Z", "2026-03-01T00:00:00Z")
    assert (found["previous_since"], found["days"]) == ("2026-02-25T00:00:00Z", 2)
    by_account = {item["social_account_id"]: item for item in found["accounts"]}

    def figure(figures: dict[str, Any], name: str) -> tuple[Any, ...]:
        item = figures[name]
        return item["value"], item["previous"], item["change"], item["change_percent"]

    one = by_account[str(first.id)]
    assert figure(one, "followers_count") == (1130, 1050, 80, 7.62)
    assert figure(one, "net_followers") == (80, 50, 30, 60.0)
    assert figure(one, "posts_count") == (13, 10, 3, 30.0)
    assert figure(one, "reach") == (450, 300, 150, 50.0)
    assert figure(one, "impressions") == (40, 0, 40, None)
    assert figure(one, "profile_views") == (None, None, None, None)
    two = by_account[str(second.id)]
    assert figure(two, "net_followers") == (-10, -50, 40, 80.0)
    assert figure(two, "reach") == (25, 50, -25, -50.0)
    three = by_account[str(new.id)]
    assert figure(three, "followers_count") == (70, None, None, None)
    # The new account counts in the value; growth is that of the other two.
    assert figure(found["totals"], "followers_count") == (1640, 1500, 70, 4.67)
    assert figure(found["totals"], "net_followers") == (70, 0, 70, None)
    assert figure(found["totals"], "reach") == (482, 350, 125, 35.71)


async def test_the_summary_of_an_empty_workspace_is_unknown(running: Running) -> None:
    found = await running.read("/summary")
    assert (found["days"], found["accounts"]) == (30, [])
    assert found["totals"]["reach"] == {
        "value": None,
        "previous": None,
        "change": None,
        "change_percent": None,
    }


@pytest.mark.parametrize("path", ["metrics", "follower-changes", "top-content", "audience"])
async def test_an_account_of_another_workspace_is_not_found(running: Running, path: str) -> None:
    theirs = await running.connect(workspace_id=uuid4())
    unknown = Connected(running.workspace_id)
    for account in (theirs, unknown):
        answer = await running.get(f"/accounts/{account.id}/{path}")
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:rookery:problem:account-not-found"


async def test_only_members_read(running: Running) -> None:
    account = await running.connect()
    running.user_id = uuid4()
    for path in (f"/accounts/{account.id}/metrics", "/summary"):
        answer = await running.get(path)
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:rookery:problem:workspace-not-found"
    answer = await running.http.get(f"{running.url}/v1/workspaces/{running.workspace_id}/summary")
    assert answer.status_code == 401


async def test_the_openapi_document_names_every_query(running: Running) -> None:
    document = (await running.http.get(f"{running.url}/openapi.json")).json()
    names = {path.rsplit("/", 1)[-1] for path in document["paths"]}
    assert names == {"metrics", "follower-changes", "top-content", "audience", "summary"}
