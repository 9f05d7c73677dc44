"""OAuth of the four platforms: what is granted, and everything that is refused."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from libs.simulator.tests.support import IG_SCOPES, X_CLIENT, Stand, authorize_request, bearing
from libs.simulator.wire import PLATFORMS, Platform

each = pytest.mark.parametrize("platform", PLATFORMS)
CLIENT = {"instagram": "client_id", "tiktok": "client_key", "linkedin": "client_id",
          "x": "client_id"}  # fmt: skip
CODE_LIVES = {"instagram": 3600, "tiktok": 600, "linkedin": 1800, "x": 30}


def answered(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 302, response.text
    return {k: v[0] for k, v in parse_qs(urlsplit(response.headers["location"]).query).items()}


async def allow(stand: Stand, **more: Any) -> None:
    await stand.control("consent", mode="allow", **more)


@each
async def test_the_consent_page_offers_people_and_scopes_and_its_buttons_work(
    stand: Stand, platform: Platform
) -> None:
    await stand.person(platform, "someone.else")
    page = await stand.authorize(platform)
    assert page.status_code == 200
    assert "Allow" in page.text
    assert "someone.else" in page.text
    path, given = authorize_request(platform)
    scope = given["scope"].replace(",", " ").split(" ")[0]
    form = {"decision": "allow", "as": "someone.else", "scope": scope}
    allowed = answered(await stand.http.post(path, params=given, data=form))
    assert allowed["state"] == "s-1"
    assert allowed["code"]
    denied = answered(await stand.http.post(path, params=given, data={"decision": "deny"}))
    assert "error" in denied


@each
async def test_a_refusal_is_told_in_the_redirect(stand: Stand, platform: Platform) -> None:
    await stand.control("consent", mode="deny")
    denied = answered(await stand.authorize(platform))
    assert denied["state"] == "s-1"
    expected = "user_cancelled_authorize" if platform == "linkedin" else "access_denied"
    assert denied["error"] == expected


@each
@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "https://evil.example/v1/oauth/x/callback"},
        {"redirect_uri": "http://127.0.0.1:8080/elsewhere"},
        {"response_type": "token"},
        {"state": ""},
        {"scope": ""},
        {"surprise": "1"},
    ],
)
async def test_an_authorize_request_that_is_not_right_shows_an_error_and_does_not_redirect(
    stand: Stand, platform: Platform, change: dict[str, str]
) -> None:
    await allow(stand)
    assert (await stand.authorize(platform, **change)).status_code == 400


@each
async def test_a_foreign_client_is_not_redirected(stand: Stand, platform: Platform) -> None:
    await allow(stand)
    assert (await stand.authorize(platform, **{CLIENT[platform]: "other"})).status_code == 400


async def test_x_insists_on_pkce_with_s256(stand: Stand) -> None:
    await allow(stand)
    for change in (
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge": "short"},
    ):
        assert (await stand.authorize("x", **change)).status_code == 400


async def test_linkedin_tells_of_an_unauthorised_scope_in_the_redirect(stand: Stand) -> None:
    await allow(stand)
    told = answered(await stand.authorize("linkedin", scope="openid r_member_social"))
    assert told["error"] == "unauthorized_scope_error"


async def test_instagram_ends_its_redirect_with_a_stray_fragment(stand: Stand) -> None:
    await allow(stand)
    assert (await stand.authorize("instagram")).headers["location"].endswith("#_")


@each
async def test_a_code_works_once(stand: Stand, platform: Platform) -> None:
    await allow(stand)
    code = await stand.code(platform)
    assert (await stand.redeem(platform, code)).status_code == 200
    assert (await stand.redeem(platform, code)).status_code == 400


@each
async def test_a_code_dies_of_age(stand: Stand, platform: Platform) -> None:
    await allow(stand)
    code = await stand.code(platform)
    stand.clock.advance(seconds=CODE_LIVES[platform])
    assert (await stand.redeem(platform, code)).status_code == 400


@each
@pytest.mark.parametrize("wrong", ["redirect_uri", "grant_type", "client", "missing", "unknown"])
async def test_a_token_request_that_is_not_right_is_refused_in_the_platforms_shape(
    stand: Stand, platform: Platform, wrong: str
) -> None:
    await allow(stand)
    code = await stand.code(platform)
    if wrong == "client" and platform == "x":
        answer = await stand.http.post(
            "/x-api/2/oauth2/token", data={"grant_type": "authorization_code"}
        )
    else:
        change = {
            "redirect_uri": {"redirect_uri": "http://127.0.0.1:1/v1/oauth/other/callback"},
            "grant_type": {"grant_type": "password"},
            "client": {"client_secret": "wrong"},
            "missing": {"code": ""},
            "unknown": {"surprise": "1"},
        }[wrong]
        answer = await stand.redeem(platform, code, **change)
    assert answer.status_code in (400, 401)
    assert ("error_message" if platform == "instagram" else "error") in answer.json()


@each
async def test_a_token_request_must_be_a_form(stand: Stand, platform: Platform) -> None:
    path = {
        "instagram": "/instagram-api/oauth/access_token",
        "tiktok": "/tiktok-api/v2/oauth/token/",
        "linkedin": "/linkedin-www/oauth/v2/accessToken",
        "x": "/x-api/2/oauth2/token",
    }[platform]
    headers = X_CLIENT if platform == "x" else {}
    answer = await stand.http.post(path, json={"code": "1"}, headers=headers)
    assert answer.status_code == 400


async def test_x_refuses_a_wrong_verifier(stand: Stand) -> None:
    await allow(stand)
    answer = await stand.redeem("x", await stand.code("x"), code_verifier="w" * 64)
    assert answer.json()["error"] == "invalid_request"


@each
async def test_a_person_may_grant_fewer_scopes(stand: Stand, platform: Platform) -> None:
    few = {
        "instagram": "instagram_business_basic",
        "tiktok": "user.info.basic",
        "linkedin": "openid",
        "x": "tweet.read",
    }[platform]
    await allow(stand, platform=platform, grant_scopes=[few])
    body = (await stand.redeem(platform, await stand.code(platform))).json()
    granted = body["data"][0]["permissions"] if platform == "instagram" else body["scope"]
    assert granted == few


async def test_instagram_exchanges_a_short_token_for_a_long_one_and_refreshes_it_after_a_day(
    stand: Stand,
) -> None:
    short = (await stand.connect("instagram"))["access_token"]
    exchange = {"grant_type": "ig_exchange_token", "client_secret": "ig-app-secret"}
    refresh = {"grant_type": "ig_refresh_token"}

    async def get(path: str, **params: str) -> httpx.Response:
        return await stand.http.get(f"/instagram-graph/{path}", params=params)

    wrong = {**exchange, "client_secret": "wrong", "access_token": short}
    assert (await get("access_token", **wrong)).status_code == 400
    assert (await get("refresh_access_token", **refresh, access_token=short)).status_code == 400
    long = (await get("access_token", **exchange, access_token=short)).json()
    assert long["token_type"] == "bearer"
    assert long["expires_in"] == 60 * 86400
    assert (
        await get("access_token", **exchange, access_token=long["access_token"])
    ).status_code == 400
    young = await get("refresh_access_token", **refresh, access_token=long["access_token"])
    assert young.json()["error"]["code"] == 100
    stand.clock.advance(hours=24)
    fresh = (await get("refresh_access_token", **refresh, access_token=long["access_token"])).json()
    assert fresh["access_token"] != long["access_token"]
    stand.clock.advance(days=60)
    late = await get("refresh_access_token", **refresh, access_token=fresh["access_token"])
    assert (late.json()["error"]["code"], late.json()["error"]["error_subcode"]) == (190, 463)


async def test_instagram_short_tokens_live_for_an_hour(stand: Stand) -> None:
    token = (await stand.connect("instagram"))["access_token"]
    me = "/instagram-graph/me"
    params = {"fields": "username", "access_token": token}
    assert (await stand.http.get(me, params=params)).status_code == 200
    stand.clock.advance(hours=1)
    assert (await stand.http.get(me, params=params)).json()["error"]["code"] == 190


async def refreshed(stand: Stand, platform: Platform, value: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": value}
    if platform == "tiktok":
        form |= {"client_key": "ck_test", "client_secret": "tt-client-secret"}
        return await stand.http.post("/tiktok-api/v2/oauth/token/", data=form)
    if platform == "linkedin":
        form |= {"client_id": "li-client", "client_secret": "li-client-secret"}
        return await stand.http.post("/linkedin-www/oauth/v2/accessToken", data=form)
    return await stand.http.post("/x-api/2/oauth2/token", data=form, headers=X_CLIENT)


@pytest.mark.parametrize("platform", ["tiktok", "x"])
async def test_a_refresh_token_dies_when_it_is_used(stand: Stand, platform: Platform) -> None:
    first = await stand.connect(platform)
    second = await refreshed(stand, platform, first["refresh_token"])
    assert second.status_code == 200
    again = await refreshed(stand, platform, first["refresh_token"])
    assert again.status_code == 400
    third = await refreshed(stand, platform, second.json()["refresh_token"])
    assert third.status_code == 200


async def test_x_kills_the_old_access_token_with_a_refresh(stand: Stand) -> None:
    first = await stand.connect("x")
    await refreshed(stand, "x", first["refresh_token"])
    old = await stand.http.get("/x-api/2/users/me", headers=bearing(first["access_token"]))
    assert old.status_code == 401
    assert old.json()["title"] == "Unauthorized"


async def test_x_gives_no_refresh_token_without_offline_access(stand: Stand) -> None:
    assert "refresh_token" not in await stand.connect("x", scope="tweet.read users.read")


async def test_tiktok_refresh_tokens_keep_their_end(stand: Stand) -> None:
    first = await stand.connect("tiktok")
    assert (first["expires_in"], first["refresh_expires_in"]) == (86400, 365 * 86400)
    stand.clock.advance(days=10)
    second = (await refreshed(stand, "tiktok", first["refresh_token"])).json()
    assert second["refresh_expires_in"] == 355 * 86400
    stand.clock.advance(days=355)
    late = await refreshed(stand, "tiktok", second["refresh_token"])
    assert late.json()["error"] == "invalid_grant"


async def test_linkedin_gives_refresh_tokens_only_where_configured_and_they_do_not_rotate(
    stand: Stand,
) -> None:
    await stand.person("linkedin", "plain.page")
    assert "refresh_token" not in await stand.connect("linkedin", "plain.page")
    await stand.person("linkedin", "partner.page", refresh_tokens=True)
    first = await stand.connect("linkedin", "partner.page")
    stand.clock.advance(days=30)
    second = (await refreshed(stand, "linkedin", first["refresh_token"])).json()
    assert second["refresh_token"] == first["refresh_token"]
    assert second["refresh_token_expires_in"] == 335 * 86400
    assert second["access_token"] != first["access_token"]


async def test_linkedin_invalidates_tokens_of_another_set_of_scopes(stand: Stand) -> None:
    first = await stand.connect("linkedin", scope="openid profile")
    await stand.connect("linkedin", scope="openid")
    answer = await stand.http.get(
        "/linkedin-api/v2/userinfo", headers=bearing(first["access_token"])
    )
    assert answer.json()["serviceErrorCode"] == 65601


@each
async def test_after_a_revocation_the_token_is_refused_in_the_platforms_own_words(
    stand: Stand, platform: Platform
) -> None:
    handle = (await stand.person(platform))["handle"]
    token = (await stand.connect(platform))["access_token"]
    path = {
        "instagram": "/instagram-graph/me?fields=username",
        "tiktok": "/tiktok-api/v2/user/info/?fields=open_id",
        "linkedin": "/linkedin-api/v2/userinfo",
        "x": "/x-api/2/users/me",
    }[platform]
    assert (await stand.http.get(path, headers=bearing(token))).status_code == 200
    told = await stand.control("revoke", platform=platform, handle=handle)
    assert told["tokens_killed"] == 1
    refused = await stand.http.get(path, headers=bearing(token))
    body = refused.json()
    if platform == "instagram":
        assert (body["error"]["code"], body["error"]["error_subcode"]) == (190, 458)
    elif platform == "tiktok":
        assert (refused.status_code, body["error"]["code"]) == (401, "access_token_invalid")
    elif platform == "linkedin":
        assert body["code"] == "REVOKED_ACCESS_TOKEN"
    else:
        assert (refused.status_code, body["type"]) == (401, "about:blank")


@pytest.mark.parametrize("platform", ["tiktok", "linkedin", "x"])
async def test_the_application_can_give_a_grant_back(stand: Stand, platform: Platform) -> None:
    token = (await stand.connect(platform))["access_token"]
    path, form, headers = {
        "tiktok": (
            "/tiktok-api/v2/oauth/revoke/",
            {"client_key": "ck_test", "client_secret": "tt-client-secret"},
            {},
        ),
        "linkedin": (
            "/linkedin-www/oauth/v2/revoke",
            {"client_id": "li-client", "client_secret": "li-client-secret"},
            {},
        ),
        "x": ("/x-api/2/oauth2/revoke", {}, X_CLIENT),
    }[platform]
    answer = await stand.http.post(path, data={**form, "token": token}, headers=headers)
    assert answer.status_code == 200
    state = (await stand.http.get("/_control/state")).json()
    assert state["connected"][platform] == []


async def test_instagram_needs_the_basic_scope_to_ask_at_all(stand: Stand) -> None:
    await allow(stand)
    without = IG_SCOPES.partition(",")[2]
    assert (await stand.authorize("instagram", scope=without)).status_code == 400
