"""The past: the same for a seed, the same as polling, and never going backwards."""

from itertools import pairwise
from typing import Any

import pytest

from libs.simulator.tests.conftest import Stands
from libs.simulator.tests.support import SetClock, Stand, bearing
from libs.simulator.wire import PLATFORMS, Platform

each = pytest.mark.parametrize("platform", PLATFORMS)


async def past(stand: Stand, platform: Platform, days: int = 7) -> list[dict[str, Any]]:
    handle = (await stand.person(platform))["handle"]
    params: dict[str, Any] = {"platform": platform, "handle": handle, "days": days}
    answer = await stand.http.get("/_control/history", params=params)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()
    return found


@each
async def test_it_is_the_same_for_a_seed_and_another_for_another(
    stands: Stands, platform: Platform
) -> None:
    async with stands(seed=7) as stand:
        first = await past(stand, platform)
    # Hours later, another process, the same days.
    clock = SetClock()
    clock.advance(hours=5)
    async with stands(clock, seed=7) as stand:
        assert await past(stand, platform) == first
    async with stands(seed=8) as stand:
        assert await past(stand, platform) != first


@each
async def test_every_day_has_its_observations_in_order(stand: Stand, platform: Platform) -> None:
    found = await past(stand, platform, days=90)
    moments = [one["observed_at"] for one in found]
    assert moments == sorted(moments)
    assert (moments[0], moments[-1]) == ("2025-12-02T12:00:00Z", "2026-03-01T12:00:00Z")
    kinds = [one["kind"] for one in found]
    assert kinds.count("account") == 90
    assert kinds.count("posts") > 90
    assert kinds.count("audience") == (90 if platform in ("instagram", "linkedin") else 0)


def likes(platform: Platform, responses: dict[str, Any]) -> tuple[str, int]:
    if platform == "instagram":
        return responses["media"]["id"], responses["media"]["like_count"]
    if platform == "tiktok":
        return responses["video"]["id"], responses["video"]["like_count"]
    if platform == "linkedin":
        statistics = responses["statistics"]["totalShareStatistics"]
        return responses["post"]["id"], statistics["likeCount"]
    metrics = responses["tweet"]["public_metrics"]
    return responses["tweet"]["id"], metrics["like_count"]


@each
async def test_a_posts_counts_never_fall(stand: Stand, platform: Platform) -> None:
    seen: dict[str, int] = {}
    grew = 0
    for one in await past(stand, platform, days=60):
        if one["kind"] == "posts":
            post, count = likes(platform, one["responses"])
            assert count >= seen.get(post, 0)
            grew += count > seen.get(post, 0)
            seen[post] = count
    assert grew > len(seen)


def followers(platform: Platform, responses: dict[str, Any]) -> int:
    found = {
        "instagram": lambda: responses["profile"]["followers_count"],
        "tiktok": lambda: responses["user"]["data"]["user"]["follower_count"],
        "linkedin": lambda: responses["network_size"]["firstDegreeSize"],
        "x": lambda: responses["user"]["data"]["public_metrics"]["followers_count"],
    }[platform]()
    return int(found)


@each
async def test_followers_drift_both_ways_but_grow(stand: Stand, platform: Platform) -> None:
    days = [
        followers(platform, one["responses"])
        for one in await past(stand, platform, days=90)
        if one["kind"] == "account"
    ]
    steps = [after - before for before, after in pairwise(days)]
    assert days[-1] > days[0]
    assert len(set(steps)) > 10
    assert max(abs(step) for step in steps) < days[0] * 0.01


async def test_the_past_is_what_polling_answered_then(stands: Stands) -> None:
    clock = SetClock()
    async with stands(clock) as stand:
        token = (await stand.connect("instagram"))["access_token"]
        me = (await stand.person("instagram"))["account_id"]
        polled = (
            await stand.http.get(
                f"/instagram-graph/v25.0/{me}/insights",
                params={
                    "metric": "reach,views,accounts_engaged,total_interactions,likes,comments,"
                    "shares,saves,replies,profile_links_taps",
                    "metric_type": "total_value",
                    "period": "day",
                },
                headers=bearing(token),
            )
        ).json()
        x_token = (await stand.connect("x"))["access_token"]
        x_polled = (
            await stand.http.get(
                "/x-api/2/users/me",
                params={"user.fields": "profile_image_url,public_metrics,verified"},
                headers=bearing(x_token),
            )
        ).json()
        clock.advance(days=1)
        told = [one for one in await past(stand, "instagram", 1) if one["kind"] == "account"]
        assert told[0]["responses"]["insights"] == polled
        told = [one for one in await past(stand, "x", 1) if one["kind"] == "account"]
        assert told[0]["responses"]["user"] == x_polled


async def test_a_member_without_a_page_has_a_past_of_their_own(stand: Stand) -> None:
    await stand.person("linkedin", "just.me", organisation=False)
    params: dict[str, Any] = {"platform": "linkedin", "handle": "just.me", "days": 3}
    found = (await stand.http.get("/_control/history", params=params)).json()
    assert [one["kind"] for one in found] == ["account"] * 3
    assert set(found[0]["responses"]) == {"member_followers", "member_analytics"}


async def test_a_person_made_with_few_followers_has_exactly_those(stand: Stand) -> None:
    made = await stand.person("instagram", "tiny", followers=42)
    listed = (await stand.http.get("/_control/people")).json()
    tiny = next(one for one in listed if one["handle"] == "tiny")
    assert tiny["followers_now"] == made["followers"] == 42
