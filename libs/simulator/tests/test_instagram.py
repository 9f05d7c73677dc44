"""Instagram's read endpoints: what they answer and what they refuse."""

from typing import Any

import httpx
import pytest

from libs.simulator.tests.support import Stand, bearing

GRAPH = "/instagram-graph/v25.0"
TOTALS = "reach,views,accounts_engaged,total_interactions,likes,comments,shares,saves,replies"


class Account:
    """A connected account and a way to ask about it."""

    def __init__(self, stand: Stand, person: dict[str, Any], token: str) -> None:
        self.stand = stand
        self.id = person["account_id"]
        self.token = token

    async def get(self, path: str, **params: str) -> httpx.Response:
        params = {"access_token": self.token, **{k.rstrip("_"): v for k, v in params.items()}}
        return await self.stand.http.get(path, params=params)


async def account(stand: Stand, handle: str, **more: Any) -> Account:
    person = await stand.person("instagram", handle, **more)
    token = (await stand.connect("instagram", handle))["access_token"]
    return Account(stand, person, token)


@pytest.fixture
async def big(stand: Stand) -> Account:
    return await account(stand, "big", followers=5000, posts_per_week=7)


def code(answer: httpx.Response) -> int:
    assert answer.status_code in (400, 403), answer.text
    found: int = answer.json()["error"]["code"]
    return found


async def test_the_profile_has_the_asked_fields_and_both_ids(big: Account) -> None:
    fields = "user_id,username,followers_count,follows_count,media_count"
    for path in ("/instagram-graph/me", f"{GRAPH}/me", f"{GRAPH}/{big.id}"):
        body = (await big.get(path, fields=fields)).json()
        assert body["user_id"] == big.id
        assert body["id"] != big.id
        assert body["followers_count"] == 5000
        assert set(body) == {*fields.split(","), "id"}


async def test_a_bearer_header_serves_as_well_as_the_parameter(big: Account) -> None:
    answer = await big.stand.http.get(
        f"{GRAPH}/me", params={"fields": "username"}, headers=bearing(big.token)
    )
    assert answer.json()["username"] == "big"


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("/instagram-graph/v19.0/me", {"fields": "username"}, 2500),
        (f"{GRAPH}/me", {}, 100),
        (f"{GRAPH}/me", {"fields": "username,password"}, 100),
        (f"{GRAPH}/me", {"fields": "username", "surprise": "1"}, 100),
        (f"{GRAPH}/me", {"fields": "username", "access_token": "stolen"}, 190),
        (f"{GRAPH}/12345", {"fields": "id"}, 100),
        (f"{GRAPH}/12345/media", {}, 100),
        (f"{GRAPH}/nowhere/at/all", {}, 2500),
    ],
)
async def test_requests_that_are_not_right_are_refused(
    big: Account, path: str, params: dict[str, str], expected: int
) -> None:
    assert code(await big.get(path, **params)) == expected


async def test_a_missing_scope_is_a_permission_error(stand: Stand) -> None:
    token = (await stand.connect("instagram", scope="instagram_business_basic"))["access_token"]
    me = (await stand.person("instagram"))["account_id"]
    params = {"access_token": token, "metric": "reach", "period": "day"}
    refused = await stand.http.get(f"{GRAPH}/{me}/insights", params=params)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, 10)


async def test_account_insights_are_totals_by_name(big: Account) -> None:
    answer = await big.get(
        f"{GRAPH}/{big.id}/insights", metric=TOTALS, period="day", metric_type="total_value"
    )
    data = answer.json()["data"]
    assert [one["name"] for one in data] == TOTALS.split(",")
    values = {one["name"]: one["total_value"]["value"] for one in data}
    assert values["views"] >= values["reach"] > 0
    parts = sum(values[name] for name in ("likes", "comments", "shares", "saves"))
    assert values["total_interactions"] == parts


async def test_time_series_hold_one_value_per_whole_pacific_day(big: Account) -> None:
    now = int(big.stand.clock.now().timestamp())
    answer = await big.get(
        f"{GRAPH}/{big.id}/insights",
        metric="reach,follower_count",
        period="day",
        metric_type="time_series",
        since=str(now - 7 * 86400),
        until=str(now),
    )
    for one in answer.json()["data"]:
        assert 6 <= len(one["values"]) <= 7
        assert all(value["end_time"].endswith("T08:00:00+0000") for value in one["values"])


@pytest.mark.parametrize(
    "params",
    [
        {"metric": "impressions", "period": "day", "metric_type": "total_value"},
        {"metric": "reach,likes", "period": "day", "metric_type": "time_series"},
        {"metric": "reach", "period": "week", "metric_type": "total_value"},
        {"metric": "reach", "metric_type": "total_value"},
        {"metric": "reach", "period": "day", "metric_type": "total_value", "since": "yesterday"},
        {"metric": "reach", "period": "day", "metric_type": "total_value", "since": "0"},
        {"metric": "follower_demographics", "period": "lifetime", "metric_type": "total_value"},
        {
            "metric": "follower_demographics",
            "period": "lifetime",
            "metric_type": "total_value",
            "timeframe": "this_month",
            "breakdown": "age,gender",
        },
    ],
)
async def test_account_insights_that_do_not_exist_are_refused(
    big: Account, params: dict[str, str]
) -> None:
    assert code(await big.get(f"{GRAPH}/{big.id}/insights", **params)) == 100


async def demographics(one: Account, breakdown: str) -> list[dict[str, Any]]:
    answer = await one.get(
        f"{GRAPH}/{one.id}/insights",
        metric="follower_demographics",
        period="lifetime",
        metric_type="total_value",
        timeframe="this_month",
        breakdown=breakdown,
    )
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


@pytest.mark.parametrize("breakdown", ["age", "gender", "country", "city"])
async def test_demographics_are_counts_and_empty_below_a_hundred_followers(
    stand: Stand, big: Account, breakdown: str
) -> None:
    found = (await demographics(big, breakdown))[0]["total_value"]["breakdowns"][0]
    assert found["dimension_keys"] == [breakdown]
    assert 1000 < sum(result["value"] for result in found["results"]) <= 5000
    small = await account(stand, "small", followers=99)
    assert await demographics(small, breakdown) == []


async def test_online_followers_are_counts_by_hour(big: Account) -> None:
    answer = await big.get(
        f"{GRAPH}/{big.id}/insights", metric="online_followers", period="lifetime"
    )
    hours = answer.json()["data"][0]["values"][0]["value"]
    assert set(hours) == {str(hour) for hour in range(24)}


async def test_media_are_paged_by_cursor_newest_first(big: Account) -> None:
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        answer = await big.get(
            f"{GRAPH}/{big.id}/media", fields="id,timestamp", limit="50", **after
        )
        body = answer.json()
        if not body["data"]:
            break
        seen += [one["timestamp"] for one in body["data"]]
        after = {"after": body["paging"]["cursors"]["after"]}
    count = (await big.get(f"{GRAPH}/me", fields="media_count")).json()["media_count"]
    assert len(seen) == count > 100
    assert seen == sorted(seen, reverse=True)


async def test_one_unsupported_metric_fails_the_whole_call(big: Account) -> None:
    answer = await big.get(f"{GRAPH}/{big.id}/media", fields="id,media_product_type", limit="30")
    kinds = {one["media_product_type"]: one["id"] for one in answer.json()["data"]}
    metrics = "views,reach,likes,comments,saved,shares,total_interactions"
    good = await big.get(f"{GRAPH}/{kinds['REELS']}/insights", metric=metrics)
    assert [one["name"] for one in good.json()["data"]] == metrics.split(",")
    assert good.json()["data"][0]["values"][0]["value"] >= 0
    bad = await big.get(f"{GRAPH}/{kinds['REELS']}/insights", metric=f"{metrics},profile_visits")
    assert code(bad) == 100
    assert (
        await big.get(f"{GRAPH}/{kinds['FEED']}/insights", metric="profile_visits")
    ).status_code == 200


async def test_every_answer_tells_how_much_of_the_budget_is_used(big: Account) -> None:
    answer = await big.get(f"{GRAPH}/me", fields="username")
    assert big.id in answer.headers["x-business-use-case-usage"]
    assert "call_count" in answer.headers["x-app-usage"]


@pytest.mark.parametrize(("rule", "expected"), [("account", 80002), ("app", 4)])
async def test_too_many_calls_are_an_oauth_error_with_status_400(
    big: Account, rule: str, expected: int
) -> None:
    await big.stand.control("limits", rule=f"instagram.{rule}", limit=1)
    assert (await big.get(f"{GRAPH}/me", fields="username")).status_code == 200
    refused = await big.get(f"{GRAPH}/me", fields="username")
    assert refused.status_code == 400
    assert code(refused) == expected
    assert "call_count" in refused.headers["x-app-usage"]


async def test_webhook_fields_the_app_lacks_are_dropped_without_a_word(big: Account) -> None:
    path = f"{GRAPH}/{big.id}/subscribed_apps"
    params = {"access_token": big.token, "subscribed_fields": "comments,story_insights"}
    assert (await big.stand.http.post(path, params=params)).json() == {"success": True}
    listed = (await big.get(path)).json()["data"]
    assert listed[0]["subscribed_fields"] == ["comments"]
    params["subscribed_fields"] = "gossip"
    assert code(await big.stand.http.post(path, params=params)) == 100
    await big.stand.http.delete(path, params={"access_token": big.token})
    assert (await big.get(path)).json() == {"data": []}
