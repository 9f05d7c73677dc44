"""X's read endpoints: what they answer and what they refuse."""

from typing import Any

import httpx
import pytest

from libs.simulator.tests.support import Stand, bearing

API = "/x-api/2"


class User:
    """A connected user and a way to ask about them."""

    def __init__(self, stand: Stand, person: dict[str, Any], token: str) -> None:
        self.stand = stand
        self.id = person["account_id"]
        self.token = token

    async def get(self, path: str, params: dict[str, str] | None = None) -> httpx.Response:
        return await self.stand.http.get(
            f"{API}/{path}", params=params or {}, headers=bearing(self.token)
        )

    async def tweets(self, **params: str) -> list[dict[str, Any]]:
        answer = await self.get(f"users/{self.id}/tweets", {"max_results": "100", **params})
        data: list[dict[str, Any]] = answer.json()["data"]
        return data


@pytest.fixture
async def user(stand: Stand) -> User:
    person = await stand.person("x")
    return User(stand, person, (await stand.connect("x"))["access_token"])


async def test_the_user_has_metrics_only_when_asked(user: User) -> None:
    plain = (await user.get("users/me")).json()["data"]
    assert set(plain) == {"id", "name", "username"}
    full = (await user.get("users/me", {"user.fields": "public_metrics"})).json()["data"]
    metrics = full["public_metrics"]
    assert {"followers_count", "following_count", "tweet_count", "listed_count"} <= set(metrics)


async def test_tweets_are_paged_by_token_newest_first(user: User) -> None:
    seen: list[str] = []
    params = {"max_results": "40"}
    while True:
        body = (await user.get(f"users/{user.id}/tweets", params)).json()
        seen += [tweet["id"] for tweet in body["data"]]
        if "next_token" not in body["meta"]:
            break
        params["pagination_token"] = body["meta"]["next_token"]
    me = (await user.get("users/me", {"user.fields": "public_metrics"})).json()
    assert len(seen) == len(set(seen)) == me["data"]["public_metrics"]["tweet_count"]
    assert seen == sorted(seen, key=int, reverse=True)
    newer = await user.tweets(since_id=seen[3])
    assert [tweet["id"] for tweet in newer] == seen[:3]


async def test_private_metrics_are_given_for_a_month_and_errors_are_partial(user: User) -> None:
    listed = await user.tweets(**{"tweet.fields": "created_at"})
    young, old = listed[0]["id"], listed[-1]["id"]
    params = {"ids": f"{young},{old},1", "tweet.fields": "public_metrics,non_public_metrics"}
    answer = await user.get("tweets", params)
    assert answer.status_code == 200
    body = answer.json()
    assert [tweet["id"] for tweet in body["data"]] == [young]
    assert body["data"][0]["non_public_metrics"]["engagements"] > 0
    kinds = {error["resource_id"]: error["type"].rpartition("/")[2] for error in body["errors"]}
    assert kinds == {"1": "resource-not-found", old: "not-authorized-for-field"}


async def test_analytics_add_up_over_granularities(user: User) -> None:
    tweet = (await user.tweets())[-1]["id"]
    params = {
        "ids": tweet,
        "start_time": "2026-02-20T00:00:00Z",
        "end_time": "2026-03-01T00:00:00Z",
        "analytics.fields": "impressions,engagements",
    }

    async def series(granularity: str) -> list[dict[str, Any]]:
        answer = await user.get("tweets/analytics", {**params, "granularity": granularity})
        steps: list[dict[str, Any]] = answer.json()["data"][0]["timestamped_metrics"]
        return steps

    daily, total = await series("daily"), await series("total")
    assert len(daily) == 9
    assert len(total) == 1
    assert sum(one["metrics"]["impressions"] for one in daily) == total[0]["metrics"]["impressions"]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("users/me", {"user.fields": "password"}),
        ("users/me", {"surprise": "1"}),
        ("users/{id}/tweets", {"max_results": "4"}),
        ("users/{id}/tweets", {"max_results": "101"}),
        ("users/{id}/tweets", {"pagination_token": "made-up"}),
        ("users/{id}/tweets", {"start_time": "yesterday"}),
        ("users/nobody/tweets", {}),
        ("tweets", {}),
        ("tweets", {"ids": "one"}),
        ("tweets", {"ids": ",".join(["1"] * 101)}),
        ("tweets/analytics", {"ids": "1"}),
        (
            "tweets/analytics",
            {
                "ids": "1",
                "start_time": "2026-02-20T00:00:00Z",
                "end_time": "2026-02-19T00:00:00Z",
                "granularity": "daily",
                "analytics.fields": "impressions",
            },
        ),
    ],
)
async def test_requests_that_are_not_right_are_invalid(
    user: User, path: str, params: dict[str, str]
) -> None:
    refused = await user.get(path.replace("{id}", user.id), params)
    assert refused.status_code == 400
    assert refused.json()["type"] == "https://api.x.com/2/problems/invalid-request"
    assert refused.json()["errors"]


async def test_a_user_who_is_not_there_is_a_partial_error(user: User) -> None:
    body = (await user.get("users/12345/tweets")).json()
    assert body["errors"][0]["title"] == "Not Found Error"


async def test_reading_needs_both_reading_scopes(stand: Stand) -> None:
    person = await stand.person("x")
    token = (await stand.connect("x", scope="tweet.read"))["access_token"]
    refused = await User(stand, person, token).get("users/me")
    assert refused.status_code == 403


async def test_an_access_token_lives_for_two_hours(user: User) -> None:
    user.stand.clock.advance(hours=2)
    assert (await user.get("users/me")).status_code == 401


async def test_every_reply_counts_down_and_the_window_ends_at_its_reset(user: User) -> None:
    first = await user.get("users/me")
    assert first.headers["x-rate-limit-limit"] == "75"
    assert first.headers["x-rate-limit-remaining"] == "74"
    invalid = await user.get("users/me", {"surprise": "1"})
    assert invalid.headers["x-rate-limit-remaining"] == "73"
    await user.stand.control("limits", rule="x.users.me", limit=2)
    refused = await user.get("users/me")
    assert refused.status_code == 429
    assert refused.headers["x-rate-limit-remaining"] == "0"
    wait = int(refused.headers["x-rate-limit-reset"]) - user.stand.clock.now().timestamp()
    assert 0 < wait <= 900
    user.stand.clock.advance(seconds=wait)
    assert (await user.get("users/me")).status_code == 200
