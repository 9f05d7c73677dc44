"""What the polls of each platform mean: numbers where it gives them, None where it cannot."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from libs.contracts.accounts import PlatformName
from libs.contracts.ingestion import (
    AccountMetricsObserved,
    AudienceObserved,
    PostMetricsObserved,
)
from libs.platforms.base import Untranslatable
from libs.platforms.tests.support import platforms, poll

MAX_INT = 2_147_483_647


def account(name: PlatformName, **responses: Any) -> AccountMetricsObserved:
    event = platforms()[name].translate(poll(name, "account", **responses))
    assert isinstance(event, AccountMetricsObserved)
    return event


def post(name: PlatformName, **responses: Any) -> PostMetricsObserved:
    event = platforms()[name].translate(poll(name, "posts", **responses))
    assert isinstance(event, PostMetricsObserved)
    return event


def audience(name: PlatformName, **responses: Any) -> AudienceObserved:
    event = platforms()[name].translate(poll(name, "audience", **responses))
    assert isinstance(event, AudienceObserved)
    return event


def totals(**values: int) -> dict[str, Any]:
    return {
        "data": [
            {"name": name, "period": "day", "total_value": {"value": value}}
            for name, value in values.items()
        ]
    }


def test_instagram_account_numbers() -> None:
    event = account(
        "instagram",
        profile={"followers_count": 10, "follows_count": 2, "media_count": 3},
        insights=totals(reach=224, views=500, total_interactions=40, likes=30, saves=0),
        profile_views=totals(profile_views=7),
    )
    assert (event.followers_count, event.following_count, event.posts_count) == (10, 2, 3)
    assert (event.reach, event.impressions, event.engagement_count) == (224, 500, 40)
    assert event.profile_views == 7
    assert event.extra_data == {"likes": 30, "saves": 0}
    assert event.occurred_at == datetime(2026, 1, 2, 3, tzinfo=UTC)


def test_instagram_without_profile_views_or_data_gives_none() -> None:
    event = account("instagram", profile={}, insights={"data": []}, profile_views=None)
    assert (event.reach, event.impressions, event.profile_views) == (None, None, None)


def test_instagram_post_numbers() -> None:
    media = {
        "id": "1",
        "caption": "c",
        "media_type": "VIDEO",
        "media_product_type": "REELS",
        "permalink": "https://www.instagram.com/reel/1/",
        "timestamp": "2026-01-01T08:00:00+0000",
        "like_count": 1,
        "comments_count": 2,
    }
    lifetime = {"likes": 5, "comments": 6, "shares": 7, "saved": 8, "reach": 9}
    data = [{"name": name, "values": [{"value": n}]} for name, n in lifetime.items()]
    event = post("instagram", media=media, insights={"data": data})
    assert event.media_type == "reel"
    assert (event.likes_count, event.comments_count, event.shares_count) == (5, 6, 7)
    assert (event.saves_count, event.reach) == (8, 9)
    assert event.posted_at == datetime(2026, 1, 1, 8, tzinfo=UTC)
    bare = post("instagram", media=media, insights=None)
    assert (bare.likes_count, bare.comments_count, bare.reach) == (1, 2, None)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("IMAGE", "photo"), ("VIDEO", "video"), ("CAROUSEL_ALBUM", "carousel"), ("NEW", None)],
)
def test_instagram_media_types(kind: str, expected: str | None) -> None:
    media = {
        "id": "1",
        "permalink": "https://a.example",
        "timestamp": "2026-01-01T08:00:00+0000",
        "media_type": kind,
        "media_product_type": "FEED",
    }
    assert post("instagram", media=media, insights=None).media_type == expected


def breakdown(name: str, **people: int) -> dict[str, Any]:
    results = [{"dimension_values": [group], "value": n} for group, n in people.items()]
    total = {"breakdowns": [{"dimension_keys": [name], "results": results}]}
    return {"data": [{"name": "follower_demographics", "total_value": total}]}


def online(days: int) -> dict[str, Any]:
    values = [
        {
            "value": {"9": 50, "20": 100 if day == 1 else 50},
            "end_time": f"2026-01-{day:02d}T08:00:00+0000",
        }
        for day in range(1, days + 1)
    ]
    return {"data": [{"name": "online_followers", "values": values}]}


def test_instagram_audience() -> None:
    event = audience(
        "instagram",
        age=breakdown("age", **{"18-24": 12}),
        gender=breakdown("gender", F=5, M=6, U=1),
        country=breakdown("country", DE=9),
        city=breakdown("city", Berlin=4),
        online_followers=online(7),
    )
    assert event.snapshot_date == date(2026, 1, 2)
    assert [(a.range, a.count) for a in event.age_ranges or ()] == [("18-24", 12)]
    assert [g.gender for g in event.genders or ()] == ["female", "male", "unknown"]
    assert [(c.country, c.count) for c in event.countries or ()] == [("DE", 9)]
    assert [(c.city, c.count) for c in event.cities or ()] == [("Berlin", 4)]
    assert [(h.hour, h.activity) for h in event.active_hours or ()] == [(9, 0.875), (20, 1.0)]
    days = {d.day: d.activity for d in event.active_days or ()}
    assert len(days) == 7
    # The first day ends at midnight US Pacific: Thursday morning in UTC, and so a Wednesday.
    assert (days["wednesday"], days["thursday"]) == (1.0, 0.6667)


def test_instagram_below_a_hundred_followers_has_no_audience() -> None:
    empty: dict[str, Any] = {"data": []}
    event = audience(
        "instagram", age=empty, gender=empty, country=empty, city=empty, online_followers=None
    )
    columns = ("age_ranges", "genders", "countries", "cities", "active_hours", "active_days")
    assert {name: getattr(event, name) for name in columns} == dict.fromkeys(columns)


def test_less_than_a_week_of_hours_says_nothing_of_the_days() -> None:
    event = audience("instagram", online_followers=online(6))
    assert event.active_hours
    assert event.active_days is None


def videos(*pages: list[dict[str, Any]], more: bool = False) -> list[dict[str, Any]]:
    return [{"data": {"videos": page, "has_more": more}} for page in pages]


def test_tiktoks_sums_are_of_a_lifetime_and_not_of_a_day() -> None:
    video = {"view_count": 100, "like_count": 5, "comment_count": 3, "share_count": 2}
    user = {"follower_count": 9, "following_count": 8, "video_count": 3, "likes_count": 7}
    event = account("tiktok", user={"data": {"user": user}}, videos=videos([video, video], [video]))
    assert (event.followers_count, event.following_count, event.posts_count) == (9, 8, 3)
    assert (event.impressions_total, event.engagement_total) == (300, 30)
    assert (event.impressions, event.engagement_count) == (None, None)
    assert (event.reach, event.profile_views) == (None, None)
    assert event.extra_data == {"likes_count": 7}


def test_tiktoks_sums_may_be_larger_than_a_column() -> None:
    event = account("tiktok", user={}, videos=videos([{"view_count": 3_000_000_000}]))
    assert event.impressions_total == 3_000_000_000


def test_tiktoks_sums_over_a_part_of_the_videos_are_not_given() -> None:
    event = account("tiktok", user={}, videos=videos([{"view_count": 1}], more=True))
    assert event.impressions_total is None


def test_a_count_no_column_can_hold_is_unknown_rather_than_wrong() -> None:
    user = {"data": {"user": {"follower_count": MAX_INT + 1, "following_count": MAX_INT}}}
    event = account("tiktok", user=user)
    assert (event.followers_count, event.following_count) == (None, MAX_INT)


@pytest.mark.parametrize("count", ["12", 1.5, True, [], {}])
def test_a_count_that_is_no_whole_number_is_untranslatable(count: Any) -> None:
    with pytest.raises(Untranslatable):
        account("tiktok", user={"data": {"user": {"follower_count": count}}})


def test_tiktok_post_numbers() -> None:
    video = {
        "id": "7512345678901234567",
        "create_time": 1767225600,
        "share_url": "https://www.tiktok.com/@a/video/1",
        "title": "t",
        "like_count": 1,
        "comment_count": 2,
        "share_count": 3,
        "view_count": 4,
    }
    event = post("tiktok", video=video)
    assert event.platform_post_id == "7512345678901234567"
    assert (event.media_type, event.caption) == ("video", "t")
    assert (event.likes_count, event.comments_count, event.shares_count) == (1, 2, 3)
    assert (event.saves_count, event.reach) == (None, None)


def share(reach: int) -> dict[str, Any]:
    return {
        "uniqueImpressionsCount": reach,
        "impressionCount": 50,
        "clickCount": 4,
        "likeCount": 3,
        "commentCount": 2,
        "shareCount": -1,
        "engagement": 0.2,
    }


def test_linkedin_organisation_numbers() -> None:
    views = {"views": {"allPageViews": {"pageViews": 11}}}
    gains = {"organicFollowerGain": -3, "paidFollowerGain": 1}
    event = account(
        "linkedin",
        network_size={"firstDegreeSize": 100},
        share_statistics={"elements": [{"totalShareStatistics": share(40)}]},
        page_statistics={"elements": [{"totalPageStatistics": views}]},
        follower_gains={"elements": [{"followerGains": gains}]},
        posts={"paging": {"total": 6}, "elements": []},
    )
    assert (event.followers_count, event.following_count, event.posts_count) == (100, None, 6)
    assert (event.reach, event.impressions, event.engagement_count) == (40, 50, 5)
    assert event.profile_views == 11
    assert event.extra_data == {"clicks": 4, "follower_gains": -2}


def test_linkedin_member_numbers() -> None:
    event = account(
        "linkedin",
        member_followers={"elements": [{"memberFollowersCount": 9}]},
        member_analytics={
            "IMPRESSION": {"elements": [{"count": 30, "metricType": "IMPRESSION"}]},
            "MEMBERS_REACHED": {"elements": [{"count": 20}]},
            "REACTION": {"elements": [{"count": 3}]},
            "COMMENT": {"elements": []},
            "RESHARE": None,
        },
    )
    assert (event.followers_count, event.reach, event.impressions) == (9, 20, 30)
    assert event.engagement_count == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, None),
        ({"media": {"id": "urn:li:image:a"}}, "photo"),
        ({"media": {"id": "urn:li:video:a"}}, "video"),
        ({"media": {"id": "urn:li:document:a"}}, None),
        ({"multiImage": {"images": []}}, "carousel"),
    ],
)
def test_linkedin_post_numbers(content: Any, expected: str | None) -> None:
    made = {
        "id": "urn:li:share:2",
        "commentary": "c",
        "publishedAt": 1767225600000,
        "content": content,
    }
    event = post("linkedin", post=made, statistics={"totalShareStatistics": share(40)})
    assert event.media_type == expected
    assert event.post_url == "https://www.linkedin.com/feed/update/urn:li:share:2/"
    assert (event.likes_count, event.comments_count, event.shares_count) == (3, 2, None)
    assert (event.reach, event.saves_count) == (40, None)
    assert post("linkedin", post=made, statistics=None).reach is None


def test_linkedin_places_keep_their_urn() -> None:
    place = {
        "geo": "urn:li:geo:101165590",
        "followerCounts": {"organicFollowerCount": 7, "paidFollowerCount": 1},
    }
    event = audience(
        "linkedin",
        follower_statistics={
            "elements": [{"followerCountsByGeoCountry": [place], "followerCountsByGeo": [place]}]
        },
    )
    assert [(c.country, c.count) for c in event.countries or ()] == [("urn:li:geo:101165590", 8)]
    assert [(c.city, c.count) for c in event.cities or ()] == [("urn:li:geo:101165590", 8)]
    assert (event.age_ranges, event.genders, event.active_hours) == (None, None, None)


@pytest.mark.parametrize("name", ["tweet_count", "post_count"])
def test_x_account_numbers(name: str) -> None:
    public = {"followers_count": 5, "following_count": 4, name: 3, "listed_count": 2}
    day = {"metrics": {"impressions": 10, "engagements": 2}}
    analytics = {"data": [{"id": "1", "timestamped_metrics": [day, day]}]}
    event = account("x", user={"data": {"public_metrics": public}}, analytics=analytics)
    assert (event.followers_count, event.following_count, event.posts_count) == (5, 4, 3)
    assert (event.impressions, event.engagement_count) == (20, 4)
    assert (event.reach, event.profile_views) == (None, None)
    assert event.extra_data == {"listed_count": 2}


def test_x_without_analytics_gives_none() -> None:
    event = account("x", user={"data": {}}, analytics=None)
    assert (event.impressions, event.engagement_count) == (None, None)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [(None, None), (["3_1"], "photo"), (["7_1"], "video"), (["3_1", "3_2"], "carousel")],
)
def test_x_post_numbers(keys: Any, expected: str | None) -> None:
    tweet = {
        "id": "1",
        "text": "t",
        "created_at": "2026-01-01T00:00:00.000Z",
        "attachments": {"media_keys": keys},
        "public_metrics": {
            "like_count": 1,
            "reply_count": 2,
            "retweet_count": 3,
            "quote_count": 4,
            "bookmark_count": 5,
            "impression_count": 6,
        },
    }
    event = post("x", tweet=tweet)
    assert (event.media_type, event.post_url) == (expected, "https://x.com/i/web/status/1")
    assert (event.likes_count, event.comments_count, event.shares_count) == (1, 2, 7)
    assert (event.saves_count, event.reach) == (5, None)
