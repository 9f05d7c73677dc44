"""TikTok's read endpoints: what they answer and what they refuse."""

from typing import Any

import httpx
import pytest

from libs.simulator.tests.support import Stand, bearing

API = "/tiktok-api/v2"
INFO = f"{API}/user/info/"
LIST = f"{API}/video/list/"
QUERY = f"{API}/video/query/"
FIELDS = "id,create_time,share_url,like_count,comment_count,share_count,view_count"


@pytest.fixture
async def token(stand: Stand) -> str:
    value: str = (await stand.connect("tiktok"))["access_token"]
    return value


async def post(
    stand: Stand, token: str, path: str, body: dict[str, Any], fields: str = FIELDS
) -> httpx.Response:
    params = {"fields": fields} if fields else {}
    return await stand.http.post(path, params=params, json=body, headers=bearing(token))


async def test_user_info_has_exactly_the_asked_fields(stand: Stand, token: str) -> None:
    params = {"fields": "open_id,follower_count,likes_count,video_count"}
    body = (await stand.http.get(INFO, params=params, headers=bearing(token))).json()
    assert body["error"]["code"] == "ok"
    assert set(body["data"]["user"]) == set(params["fields"].split(","))


async def test_every_field_needs_its_scope(stand: Stand) -> None:
    token = (await stand.connect("tiktok", scope="user.info.basic"))["access_token"]
    good = await stand.http.get(INFO, params={"fields": "open_id"}, headers=bearing(token))
    assert good.status_code == 200
    refused = await stand.http.get(
        INFO, params={"fields": "open_id,follower_count"}, headers=bearing(token)
    )
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "scope_not_authorized"
    videos = await post(stand, token, LIST, {})
    assert videos.json()["error"]["code"] == "scope_not_authorized"


async def test_videos_are_paged_by_time_newest_first(stand: Stand, token: str) -> None:
    seen: list[int] = []
    cursor = 0
    more = True
    while more:
        data = (await post(stand, token, LIST, {"max_count": 20, "cursor": cursor})).json()["data"]
        seen += [video["create_time"] for video in data["videos"]]
        cursor, more = data["cursor"], data["has_more"]
    params = {"fields": "video_count"}
    body = (await stand.http.get(INFO, params=params, headers=bearing(token))).json()
    assert len(seen) == body["data"]["user"]["video_count"] > 40
    assert seen == sorted(seen, reverse=True)


async def test_video_query_gives_own_videos_and_leaves_others_out(stand: Stand, token: str) -> None:
    listed = (await post(stand, token, LIST, {"max_count": 2})).json()["data"]["videos"]
    ids = [video["id"] for video in listed]
    body = {"filters": {"video_ids": [*ids, "123"]}}
    found = (await post(stand, token, QUERY, body)).json()["data"]["videos"]
    assert [video["id"] for video in found] == ids


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        (LIST, {}, ""),
        (LIST, {}, "id,secret_count"),
        (LIST, {"max_count": 21}, FIELDS),
        (LIST, {"max_count": "20"}, FIELDS),
        (LIST, {"surprise": 1}, FIELDS),
        (QUERY, {}, FIELDS),
        (QUERY, {"filters": {"video_ids": []}}, FIELDS),
        (QUERY, {"filters": {"video_ids": ["1"] * 21}}, FIELDS),
        (QUERY, {"filters": {"video_ids": [1]}}, FIELDS),
    ],
)
async def test_requests_that_are_not_right_are_invalid_params(
    stand: Stand, token: str, path: str, body: dict[str, Any], fields: str
) -> None:
    refused = await post(stand, token, path, body, fields)
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "invalid_params"


async def test_the_body_must_be_json(stand: Stand, token: str) -> None:
    refused = await stand.http.post(
        LIST, params={"fields": "id"}, data={"max_count": "1"}, headers=bearing(token)
    )
    assert refused.json()["error"]["code"] == "invalid_params"


async def test_paths_need_their_trailing_slash(stand: Stand, token: str) -> None:
    answer = await stand.http.get(
        f"{API}/user/info", params={"fields": "open_id"}, headers=bearing(token)
    )
    assert answer.status_code == 404


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer stolen"}])
async def test_without_a_good_token_there_is_nothing(stand: Stand, headers: dict[str, str]) -> None:
    refused = await stand.http.get(INFO, params={"fields": "open_id"}, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "access_token_invalid")


async def test_an_access_token_lives_for_a_day(stand: Stand, token: str) -> None:
    stand.clock.advance(hours=24)
    refused = await stand.http.get(INFO, params={"fields": "open_id"}, headers=bearing(token))
    assert refused.status_code == 401


async def test_six_hundred_calls_a_sliding_minute_and_no_headers(stand: Stand, token: str) -> None:
    async def ask() -> httpx.Response:
        return await stand.http.get(INFO, params={"fields": "open_id"}, headers=bearing(token))

    await stand.control("limits", rule="tiktok.user.info", limit=2)
    assert (await ask()).status_code == 200
    stand.clock.advance(seconds=30)
    assert (await ask()).status_code == 200
    refused = await ask()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert "retry-after" not in refused.headers
    stand.clock.advance(seconds=30)
    assert (await ask()).status_code == 200
    assert (await ask()).status_code == 429
