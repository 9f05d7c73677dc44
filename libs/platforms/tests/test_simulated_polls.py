"""Polls of all four platforms, their limits and failures, over HTTP at the simulator."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest

from libs.contracts.accounts import PlatformName
from libs.contracts.ingestion import (
    AccountMetricsObserved,
    AudienceObserved,
    PlatformEvent,
    PostMetricsObserved,
)
from libs.platforms.base import Observation, PollKind, RateLimited, Unavailable
from libs.platforms.tests.simulated import Simulated
from libs.platforms.tests.support import NAMES, raw

each_platform = pytest.mark.parametrize("name", NAMES)


async def polled(
    simulated: Simulated, name: PlatformName, kind: PollKind, **person: Any
) -> list[Observation]:
    who = await simulated.person(name, **person)
    grant = await simulated.grant(name, who["handle"])
    user = (await simulated.platforms[name].profile(simulated.http, grant)).platform_user_id
    return await simulated.poll(name, kind, grant.access_token, user)


def translated(simulated: Simulated, name: PlatformName, observation: Observation) -> PlatformEvent:
    # As ingestion keeps it: the payload passes through JSON.
    payload = orjson.loads(orjson.dumps(observation.payload))
    event = simulated.platforms[name].translate(raw(name, observation.type, payload))
    assert isinstance(event, PlatformEvent)
    return event


def known(event: PlatformEvent, columns: frozenset[str]) -> set[str]:
    return {column for column in columns if getattr(event, column) is not None}


@each_platform
async def test_an_account_poll_fills_the_columns_of_the_facts(
    simulated: Simulated, name: PlatformName
) -> None:
    (observation,) = await polled(simulated, name, "account")
    event = translated(simulated, name, observation)
    assert isinstance(event, AccountMetricsObserved)
    metrics = simulated.platforms[name].facts.metrics
    lifetime = {"impressions", "engagement_count"} if name == "tiktok" else set()
    assert known(event, metrics) == metrics - lifetime
    assert (event.impressions_total is None) == (name != "tiktok")
    assert abs(event.occurred_at - await simulated.now()) < timedelta(minutes=1)


@each_platform
async def test_a_posts_poll_fills_the_columns_of_the_facts_for_every_post(
    simulated: Simulated, name: PlatformName
) -> None:
    observations = await polled(simulated, name, "posts")
    assert len(observations) > 20
    oldest = await simulated.now() - timedelta(days=90, minutes=1)
    for observation in observations:
        event = translated(simulated, name, observation)
        assert isinstance(event, PostMetricsObserved)
        columns = simulated.platforms[name].facts.post_metrics
        assert known(event, columns) == columns
        assert event.posted_at >= oldest
        assert event.caption
        assert event.platform_post_id == observation.key[-1]
    assert len({observation.key for observation in observations}) == len(observations)


@pytest.mark.parametrize("name", ["instagram", "linkedin"])
async def test_an_audience_poll_fills_the_columns_of_the_facts(
    simulated: Simulated, name: PlatformName
) -> None:
    (observation,) = await polled(simulated, name, "audience")
    event = translated(simulated, name, observation)
    assert isinstance(event, AudienceObserved)
    # The simulator tells the hours of one day only, which says nothing of a week.
    columns = simulated.platforms[name].facts.audience - {"active_days"}
    assert known(event, columns) == columns


async def test_an_instagram_account_with_few_followers_has_no_audience(
    simulated: Simulated,
) -> None:
    person = {"handle": "few", "followers": 40, "daily_growth": 0.0}
    (observation,) = await polled(simulated, "instagram", "audience", **person)
    event = translated(simulated, "instagram", observation)
    assert isinstance(event, AudienceObserved)
    assert event.age_ranges is None
    assert event.countries is None
    assert event.active_hours is None


async def test_a_linkedin_member_has_account_numbers_and_neither_posts_nor_audience(
    simulated: Simulated,
) -> None:
    person = {"handle": "only.me", "organisation": False}
    (observation,) = await polled(simulated, "linkedin", "account", **person)
    event = translated(simulated, "linkedin", observation)
    assert isinstance(event, AccountMetricsObserved)
    assert event.followers_count is not None
    assert event.impressions is not None
    assert event.reach is not None
    assert await polled(simulated, "linkedin", "posts", **person) == []
    assert await polled(simulated, "linkedin", "audience", **person) == []


@each_platform
async def test_polling_the_same_slot_again_gives_the_same_keys(
    simulated: Simulated, name: PlatformName
) -> None:
    grant = await simulated.grant(name)
    user = (await simulated.platforms[name].profile(simulated.http, grant)).platform_user_id
    now = (await simulated.now()).replace(minute=10)
    keys = []
    for minute in (10, 50):
        page = await simulated.platforms[name].poll(
            simulated.http,
            kind="posts",
            access_token=grant.access_token,
            platform_user_id=user,
            cursor=None,
            now=now.replace(minute=minute),
        )
        keys.append([observation.key for observation in page.observations])
    assert keys[0] == keys[1]


@each_platform
async def test_a_poll_goes_on_in_its_slot_where_it_ended(
    ageing: Simulated, name: PlatformName
) -> None:
    person = await ageing.person(name, handle="busy", posts_per_week=60)
    await ageing.control("clock", {"advance_s": 30 * 86400})
    grant = await ageing.grant(name, person["handle"])
    platform = ageing.platforms[name]
    user = (await platform.profile(ageing.http, grant)).platform_user_id
    now = await ageing.now()
    first = await platform.poll(
        ageing.http,
        kind="posts",
        access_token=grant.access_token,
        platform_user_id=user,
        cursor=None,
        now=now,
    )
    assert first.cursor is not None
    later = now + timedelta(days=1)
    second = await platform.poll(
        ageing.http,
        kind="posts",
        access_token=grant.access_token,
        platform_user_id=user,
        cursor=orjson.loads(orjson.dumps(first.cursor)),
        now=later,
    )
    assert second.observations
    assert {o.key[2] for o in second.observations} == {o.key[2] for o in first.observations}
    both = [o.key for o in (*first.observations, *second.observations)]
    assert len(set(both)) == len(both)


async def test_tiktok_sums_all_pages_of_the_videos(ageing: Simulated) -> None:
    person = await ageing.person("tiktok", handle="prolific", posts_per_week=30)
    await ageing.control("clock", {"advance_s": 60 * 86400})
    (observation,) = await polled(ageing, "tiktok", "account", **_again(person))
    pages = observation.payload["responses"]["videos"]
    assert len(pages) > 10
    event = translated(ageing, "tiktok", observation)
    assert isinstance(event, AccountMetricsObserved)
    videos = [video for page in pages for video in page["data"]["videos"]]
    assert event.impressions_total == sum(video["view_count"] for video in videos)
    assert event.posts_count == len(videos)


def _again(person: dict[str, Any]) -> dict[str, Any]:
    names = ("handle", "posts_per_week")
    return {name: person[name] for name in names}


@each_platform
async def test_the_past_that_the_simulator_tells_has_the_shapes_of_a_poll(
    simulated: Simulated, name: PlatformName
) -> None:
    person = await simulated.person(name)
    past = await simulated.control(f"history?platform={name}&handle={person['handle']}&days=3")
    lived: dict[str, set[str]] = {}
    for kind in simulated.platforms[name].facts.poll_every:
        observation = (await polled(simulated, name, kind))[0]
        lived[kind] = set(observation.payload["responses"])
    for entry in past:
        names = set(entry["responses"])
        # Our poll asks LinkedIn for the number of posts besides.
        assert names <= lived[entry["kind"]] <= names | {"posts"}
        event = simulated.platforms[name].translate(raw(name, f"poll.{entry['kind']}", entry))
        assert isinstance(event, PlatformEvent)


LIMITS: dict[PlatformName, tuple[str, timedelta]] = {
    "instagram": ("instagram.account", timedelta(days=1)),
    "tiktok": ("tiktok.user.info", timedelta(minutes=1)),
    "x": ("x.users.me", timedelta(minutes=15)),
}


@pytest.mark.parametrize("name", list(LIMITS))
async def test_a_limit_that_is_used_up_says_when_to_come_back(
    simulated: Simulated, name: PlatformName
) -> None:
    rule, longest = LIMITS[name]
    person = await simulated.person(name)
    grant = await simulated.grant(name)
    await simulated.control("limits", {"rule": rule, "limit": 0})
    with pytest.raises(RateLimited) as limited:
        await simulated.poll(name, "account", grant.access_token, person["account_id"])
    assert timedelta(0) < limited.value.retry_after <= longest


async def test_xs_headers_set_the_pace_when_the_window_is_used_up(simulated: Simulated) -> None:
    person = await simulated.person("x", handle="paced")
    grant = await simulated.grant("x", "paced")
    await simulated.control("limits", {"rule": "x.users.me", "limit": 1})
    now = await simulated.now()
    page = await simulated.platforms["x"].poll(
        simulated.http,
        kind="account",
        access_token=grant.access_token,
        platform_user_id=person["account_id"],
        cursor=None,
        now=now,
    )
    assert page.not_before is not None
    assert now < page.not_before <= now + timedelta(minutes=16)


@each_platform
@pytest.mark.parametrize("kind", ["500", "garbage", "reset"])
async def test_a_broken_answer_says_nothing_about_the_grant(
    simulated: Simulated, name: PlatformName, kind: str
) -> None:
    person = await simulated.person(name)
    grant = await simulated.grant(name)
    platform = simulated.platforms[name]
    fault = {"platform": name, "kind": kind, "times": 1}
    for call in ("poll", "profile"):
        await simulated.control("faults", fault)
        with pytest.raises(Unavailable):
            if call == "poll":
                await simulated.poll(name, "account", grant.access_token, person["account_id"])
            else:
                await platform.profile(simulated.http, grant)
    await platform.profile(simulated.http, grant)


@each_platform
async def test_a_429_is_a_rate_limit_everywhere(simulated: Simulated, name: PlatformName) -> None:
    grant = await simulated.grant(name)
    await simulated.control("faults", {"platform": name, "kind": "429", "times": 1})
    with pytest.raises(RateLimited):
        await simulated.platforms[name].profile(simulated.http, grant)
