import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from libs.chassis.tokens import ServiceTokens
from libs.contracts.accounts import PlatformName

from .conftest import PLATFORMS, App
from .test_refreshing import requests, stored


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_service_is_lent_a_token_that_works(app: App, platform: PlatformName) -> None:
    member = await app.member()
    account_id = await app.connect(member, platform)
    answer = await app.lease(account_id)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    lent = answer.json()
    kept = await stored(app, account_id)
    assert lent["access_token"] == kept.grant.access_token.get_secret_value()
    assert lent["token_version"] == kept.version
    assert lent["platform"] == platform
    found = await app.account(member, account_id)
    assert lent["platform_user_id"] == found["platform_user_id"]
    kind, data = (await app.events())[-1]
    assert (kind, data["leased_by"], data["purpose"]) == ("token_leased", "ingestion", "poll")


async def test_only_services_are_lent_tokens(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    url = f"/internal/accounts/{account_id}/lease"
    elsewhere = ServiceTokens(app.service.settings.service_secret).issue(
        caller="ingestion", callee="analytics"
    )
    for headers in (member.headers, {}, {"authorization": f"Bearer {elsewhere}"}):
        answer = await app.http.post(url, json={"purpose": "poll"}, headers=headers)
        assert answer.status_code == 401
    assert [kind for kind, _ in await app.events()] == ["account_connected"]


async def test_a_token_near_its_end_is_refreshed_first_and_once(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    before = await stored(app, account_id)
    app.clock.advance(timedelta(minutes=116))
    asked = len(await requests(app, "x", "2/oauth2/token"))
    answers = await asyncio.gather(*(app.lease(account_id) for _ in range(5)))
    assert {a.status_code for a in answers} == {200}
    assert len({a.json()["access_token"] for a in answers}) == 1
    assert answers[0].json()["token_version"] == before.version + 1
    assert len(await requests(app, "x", "2/oauth2/token")) == asked + 1


async def test_a_token_that_cannot_be_refreshed_just_now_is_lent_while_it_lives(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    app.clock.advance(timedelta(minutes=116))
    await app.control(
        "faults", {"platform": "x", "kind": "500", "path_prefix": "/x-api/2/oauth2", "times": 2}
    )
    assert (await app.lease(account_id)).status_code == 200
    asked = len(await requests(app, "x", "2/oauth2/token"))
    assert (await app.lease(account_id)).status_code == 200
    assert len(await requests(app, "x", "2/oauth2/token")) == asked  # not again so soon
    app.clock.advance(timedelta(minutes=10))
    dead = await app.lease(account_id)
    assert dead.status_code == 503
    app.clock.advance(timedelta(minutes=10))
    assert (await app.lease(account_id)).status_code == 200


async def test_what_is_not_active_is_not_lent(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    handle = await app.handle("x")
    await app.control("revoke", {"platform": "x", "handle": handle, "notify": False})
    app.clock.advance(timedelta(minutes=116))
    needs_review = await app.lease(account_id)
    assert needs_review.status_code == 409
    assert needs_review.json()["type"] == "urn:rookery:problem:account-needs-review"
    await app.http.delete(f"{member.accounts}/{account_id}", headers=member.headers)
    gone = await app.lease(account_id)
    assert gone.json()["type"] == "urn:rookery:problem:account-disconnected"
    assert (await app.lease(uuid4())).status_code == 404


async def test_a_refused_token_asks_for_review_unless_it_was_renewed(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "linkedin")
    version = (await app.lease(account_id)).json()["token_version"]

    async def refuse(account: UUID, token_version: int) -> int:
        answer = await app.internal(
            f"{account}/refusals", {"token_version": token_version, "reason": "token-dead"}
        )
        return answer.status_code

    assert await refuse(account_id, version + 1) == 204
    assert (await app.lease(account_id)).status_code == 200
    assert await refuse(account_id, version) == 204
    assert await refuse(account_id, version) == 204
    assert (await app.lease(account_id)).status_code == 409
    asked = [data for kind, data in await app.events() if kind == "account_review_requested"]
    assert [data["reason"] for data in asked] == ["token-dead"]
    assert await refuse(uuid4(), 1) == 404


async def test_a_token_moved_to_another_row_is_not_lent(app: App) -> None:
    member, other = await app.member(), await app.member()
    mine = await app.connect(member, "x")
    theirs = await app.connect(other, "tiktok")
    await app.sql(
        "UPDATE oauth_tokens SET access_token_enc ="
        " (SELECT access_token_enc FROM oauth_tokens WHERE social_account_id = :theirs)"
        " WHERE social_account_id = :mine",
        mine=mine,
        theirs=theirs,
    )
    assert (await app.lease(mine)).status_code == 500


async def test_disconnecting_wipes_the_token_and_gives_it_back(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    lent = (await app.lease(account_id)).json()["access_token"]
    for _ in range(2):
        answer = await app.http.delete(f"{member.accounts}/{account_id}", headers=member.headers)
        assert answer.status_code == 204
    assert await app.sql("SELECT 1 FROM oauth_tokens") == []
    found = await app.account(member, account_id)
    assert (found["status"], found["status_reason"]) == ("disconnected", "by-member")
    assert [kind for kind, _ in await app.events()].count("account_disconnected") == 1
    me = await app.sim.get("/x-api/2/users/me", headers={"authorization": f"Bearer {lent}"})
    assert me.status_code == 401


async def test_a_platform_that_takes_nothing_back_does_not_stop_disconnecting(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    await app.control("faults", {"platform": "x", "kind": "reset", "times": 5})
    answer = await app.http.delete(f"{member.accounts}/{account_id}", headers=member.headers)
    assert answer.status_code == 204


async def test_no_token_reaches_an_event_a_log_line_or_an_error(
    app: App, capfd: pytest.CaptureFixture[str]
) -> None:
    member = await app.member()
    secrets, said = set(), ""
    for platform in PLATFORMS:
        account_id = await app.connect(member, platform)
        kept = (await stored(app, account_id)).grant
        app.clock.advance(timedelta(minutes=116))
        lent = await app.lease(account_id)
        secrets |= {kept.access_token.get_secret_value(), lent.json()["access_token"]}
        if kept.refresh_token is not None:
            secrets.add(kept.refresh_token.get_secret_value())
        back = await app.come_back(await app.begin(member, platform))
        await app.control("faults", {"platform": platform, "kind": "garbage", "times": 3})
        failed = await app.http.get(back)
        assert failed.status_code == 503
        said += failed.text
        said += (await app.http.get(member.accounts, headers=member.headers)).text
        await app.sim.delete("/_control/faults")
    async with app.worker.connect() as connection:
        for table in ("events", "oauth_tokens", "oauth_states", "social_accounts"):
            rows = await connection.execute(text(f"SELECT t::text FROM {table} t"))
            said += " ".join(rows.scalars())
    printed = capfd.readouterr()
    said += printed.out + printed.err
    assert len(secrets) >= 6
    for secret in secrets:
        assert secret not in said
