"""Faults on demand: what the caller sees, how often, and where."""

import httpx
import pytest

from libs.simulator.tests.support import Stand, bearing
from libs.simulator.wire import PLATFORMS, Platform

PATHS = {
    "instagram": "/instagram-graph/me?fields=username",
    "tiktok": "/tiktok-api/v2/user/info/?fields=open_id",
    "linkedin": "/linkedin-api/v2/userinfo",
    "x": "/x-api/2/users/me",
}
each = pytest.mark.parametrize("platform", PLATFORMS)


async def ask(stand: Stand, platform: Platform, token: str = "none") -> httpx.Response:
    return await stand.http.get(PATHS[platform], headers=bearing(token))


@each
async def test_a_500_is_in_the_platforms_shape_and_happens_as_often_as_wanted(
    stand: Stand, platform: Platform
) -> None:
    await stand.control("faults", platform=platform, kind="500", times=2)
    statuses = [(await ask(stand, platform)).status_code for _ in range(3)]
    assert statuses[0] == statuses[1] >= 500
    assert statuses[2] in (400, 401)


@each
async def test_throttling_is_the_platforms_own(stand: Stand, platform: Platform) -> None:
    await stand.control("faults", platform=platform, kind="429")
    refused = await ask(stand, platform)
    if platform == "instagram":
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, 4)
    else:
        assert refused.status_code == 429
    assert ("x-rate-limit-reset" in refused.headers) == (platform == "x")


@each
async def test_a_reset_cuts_the_connection_before_any_answer(
    stand: Stand, platform: Platform
) -> None:
    await stand.control("faults", platform=platform, kind="reset")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await ask(stand, platform)
    assert (await ask(stand, platform)).status_code in (400, 401)


async def test_a_timeout_keeps_silent(stand: Stand) -> None:
    await stand.control("faults", platform="x", kind="timeout", delay_s=1)
    with pytest.raises(httpx.ReadTimeout):
        await stand.http.get(PATHS["x"], timeout=0.1)


async def test_a_slow_answer_drips_but_is_whole(stand: Stand) -> None:
    token = (await stand.connect("x"))["access_token"]
    await stand.control("faults", platform="x", kind="slow", delay_s=0.2)
    with pytest.raises(httpx.ReadTimeout):
        await stand.http.get(PATHS["x"], headers=bearing(token), timeout=0.005)
    await stand.control("faults", platform="x", kind="slow", delay_s=0.2)
    assert (await ask(stand, "x", token)).json()["data"]["username"] == "rookery_demo"


async def test_garbage_is_a_200_that_is_not_json(stand: Stand) -> None:
    await stand.control("faults", platform="tiktok", kind="garbage")
    answer = await ask(stand, "tiktok")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    with pytest.raises(ValueError, match="Expecting"):
        answer.json()


async def test_a_lost_answer_leaves_its_effect_behind(stand: Stand) -> None:
    first = await stand.connect("tiktok")
    form = {
        "grant_type": "refresh_token",
        "refresh_token": first["refresh_token"],
        "client_key": "ck_test",
        "client_secret": "tt-client-secret",
    }
    await stand.control("faults", platform="tiktok", kind="lost", path_prefix="/v2/oauth/")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await stand.http.post("/tiktok-api/v2/oauth/token/", data=form)
    again = await stand.http.post("/tiktok-api/v2/oauth/token/", data=form)
    assert again.json()["error"] == "invalid_grant"


async def test_a_fault_strikes_only_its_platform_and_path(stand: Stand) -> None:
    await stand.control("faults", platform="x", kind="500", path_prefix="/2/tweets", times=9)
    assert (await ask(stand, "x")).status_code == 401
    assert (await ask(stand, "tiktok")).status_code == 401
    assert (await stand.http.get("/x-api/2/tweets")).status_code == 503
    await stand.control("faults", platform="tiktok", kind="500", path_prefix="/tiktok-api/v2/user")
    assert (await ask(stand, "tiktok")).status_code == 500


async def test_faults_can_be_listed_and_cleared(stand: Stand) -> None:
    await stand.control("faults", platform="x", kind="500", times=5)
    assert len((await stand.http.get("/_control/faults")).json()) == 1
    await stand.http.delete("/_control/faults")
    assert (await ask(stand, "x")).status_code == 401


async def test_the_log_shows_requests_without_their_secrets(stand: Stand) -> None:
    await stand.http.get("/instagram-graph/me", params={"access_token": "s3cret", "fields": "id"})
    log = (await stand.http.get("/_control/log")).json()
    last = log["received"][-1]
    assert (last["method"], last["path"], last["status"]) == ("GET", "/instagram-graph/me", 400)
    assert "fields=id" in last["query"]
    assert "s3cret" not in str(log)
