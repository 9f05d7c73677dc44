import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest

from libs.contracts.accounts import PlatformName

from .conftest import APP_URL, PLATFORMS, PUBLIC_URL, App


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_an_account_of_each_platform_is_connected(app: App, platform: PlatformName) -> None:
    member = await app.member("editor")
    answer = await app.flow(member, platform)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "active"
    account_id = UUID(answer.json()["account_id"])
    found = await app.account(member, account_id)
    assert found["platform"] == platform
    assert found["handle"] == await app.handle(platform)
    assert found["status_reason"] is None
    assert found["token_expires_at"] is not None
    ((kind, data),) = await app.events()
    assert kind == "account_connected"
    assert data["platform_user_id"] == found["platform_user_id"]
    listed = await app.http.get(member.accounts, headers=member.headers)
    assert listed.json() == {"items": [found], "next_cursor": None}
    (row,) = await app.sql("SELECT actor.metadata ->> 'actor_id' AS actor FROM events actor")
    assert row.actor == str(member.user_id)


async def test_x_is_asked_with_a_pkce_challenge_and_no_secret_travels(app: App) -> None:
    url = await app.begin(await app.member(), "x")
    query = parse_qs(urlsplit(url).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [f"{PUBLIC_URL}/v1/oauth/x/callback"]
    (row,) = await app.sql("SELECT s::text AS stored FROM oauth_states s")
    assert query["state"][0] not in row.stored


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_person_may_deny(app: App, platform: PlatformName) -> None:
    member = await app.member()
    await app.consent("deny")
    answer = await app.flow(member, platform)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:rookery:problem:access-denied"
    assert await app.events() == []


async def test_a_person_may_grant_less_than_needed(app: App) -> None:
    member = await app.member()
    await app.consent(grant_scopes=["tweet.read", "users.read", "tweet.write"])
    answer = await app.flow(member, "x")
    assert answer.json()["status"] == "needs_review"
    found = await app.account(member, UUID(answer.json()["account_id"]))
    assert found["missing_scopes"] == ["offline.access"]
    assert found["status_reason"] == "missing-scopes"
    await app.consent()
    again = await app.flow(member, "x")
    assert again.json() == {"account_id": found["id"], "status": "active"}
    assert (await app.account(member, UUID(found["id"])))["missing_scopes"] == []


async def test_a_state_is_good_once(app: App) -> None:
    member = await app.member()
    path = await app.come_back(await app.begin(member, "tiktok"))
    answers = await asyncio.gather(*(app.http.get(path) for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [200, 400, 400, 400]
    assert (await app.http.get(path)).json()["type"] == "urn:rookery:problem:bad-state"


async def test_a_state_lives_ten_minutes_on_its_own_platform(app: App) -> None:
    member = await app.member()
    late = await app.come_back(await app.begin(member, "tiktok"))
    state = parse_qs(urlsplit(late).query)["state"][0]
    other = await app.http.get("/v1/oauth/x/callback", params={"code": "c", "state": state})
    assert other.json()["type"] == "urn:rookery:problem:bad-state"
    app.clock.advance(timedelta(minutes=10))
    answer = await app.http.get(late)
    assert answer.json()["type"] == "urn:rookery:problem:bad-state"
    assert await app.events() == []


@pytest.mark.parametrize("state", ["", "x", "ü", "A" * 64, "A" * 600])
async def test_nonsense_is_no_state(app: App, state: str) -> None:
    answer = await app.http.get("/v1/oauth/x/callback", params={"code": "c", "state": state})
    assert answer.status_code in {400, 422}
    assert "A" * 20 not in answer.text


async def test_a_wrong_code_connects_nothing(app: App) -> None:
    member = await app.member()
    for platform in PLATFORMS:
        state = parse_qs(urlsplit(await app.begin(member, platform)).query)["state"][0]
        answer = await app.http.get(
            f"/v1/oauth/{platform}/callback", params={"code": "canary-code", "state": state}
        )
        assert answer.status_code == 400
        assert answer.json()["type"] == "urn:rookery:problem:authorization-failed"
        assert "canary" not in answer.text
    assert await app.events() == []


async def test_a_platform_that_does_not_answer_is_503(app: App) -> None:
    member = await app.member()
    path = await app.come_back(await app.begin(member, "x"))
    await app.control("faults", {"platform": "x", "kind": "500", "path_prefix": "/x-api/2/oauth2"})
    assert (await app.http.get(path)).status_code == 503
    assert await app.events() == []


async def test_a_role_lost_meanwhile_is_lost(app: App) -> None:
    member = await app.member("editor")
    path = await app.come_back(await app.begin(member, "x"))
    await app.sql("DELETE FROM members WHERE user_id = :user", user=member.user_id)
    assert (await app.http.get(path)).status_code == 403
    assert await app.events() == []


async def test_connecting_again_keeps_the_account_and_its_id(app: App) -> None:
    member = await app.member()
    for platform in PLATFORMS:
        first = await app.connect(member, platform)
        app.clock.advance(timedelta(minutes=1))
        assert await app.connect(member, platform) == first
    kinds = [kind for kind, _ in await app.events()]
    assert kinds == ["account_connected", "account_reconnected"] * 4


async def test_a_disconnected_account_comes_back_as_itself(app: App) -> None:
    member = await app.member()
    first = await app.connect(member, "x")
    await app.http.delete(f"{member.accounts}/{first}", headers=member.headers)
    assert await app.connect(member, "x") == first
    assert (await app.account(member, first))["status"] == "active"


async def test_two_flows_of_one_workspace_at_once_make_one_account(app: App) -> None:
    member = await app.member()
    paths = [await app.come_back(await app.begin(member, "tiktok")) for _ in range(3)]
    answers = await asyncio.gather(*(app.http.get(path) for path in paths))
    assert {a.status_code for a in answers} == {200}
    assert len({a.json()["account_id"] for a in answers}) == 1


async def test_an_account_is_held_by_one_workspace_at_a_time(app: App) -> None:
    ours, theirs = await app.member(), await app.member()
    account_id = await app.connect(ours, "instagram")
    refused = await app.flow(theirs, "instagram")
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:rookery:problem:account-held-elsewhere"
    assert str(ours.workspace_id) not in refused.text
    listed = await app.http.get(theirs.accounts, headers=theirs.headers)
    assert listed.json()["items"] == []
    assert (await app.lease(account_id)).status_code == 200
    await app.http.delete(f"{ours.accounts}/{account_id}", headers=ours.headers)
    assert await app.connect(theirs, "instagram") != account_id
    back = await app.flow(ours, "instagram")
    assert back.status_code == 409


async def test_a_handle_may_pass_to_another_account(app: App) -> None:
    member = await app.member()
    body = {"platform": "x", "handle": "passed_on"}
    await app.control("people", {**body, "account_id": "1001"})
    await app.consent(**{"as": "passed_on"})
    first = await app.connect(member, "x")
    await app.control("people", {**body, "account_id": "1002"})
    second = await app.connect(member, "x")
    assert first != second
    assert (await app.account(member, second))["handle"] == "passed_on"
    assert (await app.account(member, first))["handle"] == f"passed_on~{str(first)[:8]}"


async def test_the_person_is_sent_back_to_where_they_came_from(app: App) -> None:
    member = await app.member()
    done = await app.flow(member, "x", f"{APP_URL}/settings?tab=accounts")
    assert done.status_code == 303
    url = urlsplit(done.headers["location"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{APP_URL}/settings"
    query = parse_qs(url.query)
    assert query["tab"] == ["accounts"]
    assert query["status"] == ["active"]
    assert str(UUID(query["account_id"][0])) == query["account_id"][0]
    await app.consent("deny")
    denied = await app.flow(member, "x", f"{PUBLIC_URL}/done")
    assert denied.headers["location"] == f"{PUBLIC_URL}/done?error=access-denied"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.org/",
        f"{APP_URL}.evil.example.org/",
        f"{APP_URL}:444/",
        "https://app.example.org@evil.example.org/",
        "https://evil.example.org\\@app.example.org/",
        "//app.example.org/",
        "/settings",
        "javascript:alert(1)",
        "http://app.example.org/",
        "https://app.example.org /",
        "https://[broken/",
    ],
)
async def test_there_is_no_open_redirect(app: App, url: str) -> None:
    member = await app.member()
    answer = await app.http.post(
        f"{member.accounts}/x/connect", json={"return_url": url}, headers=member.headers
    )
    assert answer.status_code == 422
    assert "evil" not in answer.text


async def test_roles_are_kept(app: App) -> None:
    owner = await app.member()
    editor = await app.member("editor", owner.workspace_id)
    analyst = await app.member("analyst", owner.workspace_id)
    stranger = await app.member()
    account_id = await app.connect(owner, "x")
    one = f"{owner.accounts}/{account_id}"
    for method, url, statuses in [
        ("GET", owner.accounts, (200, 200, 200, 404)),
        ("GET", one, (200, 200, 200, 404)),
        ("POST", f"{owner.accounts}/x/connect", (200, 200, 403, 404)),
        ("DELETE", one, (None, 403, 403, 404)),
        ("GET", f"{owner.accounts}/{uuid4()}", (404, 404, 404, 404)),
    ]:
        for member, status in zip((owner, editor, analyst, stranger), statuses, strict=True):
            if status is not None:
                answer = await app.http.request(method, url, headers=member.headers)
                assert answer.status_code == status, (method, url)
    foreign = await app.http.get(f"{stranger.accounts}/{account_id}", headers=stranger.headers)
    assert foreign.status_code == 404
    assert (await app.http.get(owner.accounts)).status_code == 401
    unknown = await app.http.post(f"{owner.accounts}/myspace/connect", headers=owner.headers)
    assert unknown.status_code == 422


async def test_accounts_come_in_pages(app: App) -> None:
    member = await app.member()
    made = [str(await app.connect(member, platform)) for platform in PLATFORMS]
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        answer = await app.http.get(member.accounts, params=query, headers=member.headers)
        page = answer.json()
        seen += [item["id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert sorted(seen) == sorted(made)
