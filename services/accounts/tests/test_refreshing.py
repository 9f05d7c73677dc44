import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.accounts import PlatformName
from libs.platforms.base import Grant
from libs.vault import Vault
from services.accounts.tokens import Stored, Tokens

from .conftest import App


async def stored(app: App, account_id: UUID) -> Stored:
    async with app.worker.connect() as connection:
        found = await Tokens(Vault([SecretStr(app.secret)])).read(connection, account_id)
    assert found is not None
    return found


async def requests(app: App, platform: str, part: str) -> list[dict[str, Any]]:
    """What the platform was asked, by a part of the path."""
    log = (await app.sim.get("/_control/log")).json()
    return [entry for entry in log["received"] if f"/{platform}-api/{part}" in entry["path"]]


async def due(app: App, account_id: UUID) -> datetime:
    found = (await stored(app, account_id)).next_refresh_at
    assert found is not None
    return found


async def until_due(app: App, account_id: UUID) -> None:
    app.clock.advance(await due(app, account_id) - app.clock.now())


@pytest.mark.parametrize("platform", ["instagram", "tiktok", "x"])
async def test_a_token_is_replaced_ahead_of_its_end(app: App, platform: PlatformName) -> None:
    member = await app.member()
    account_id = await app.connect(member, platform)
    before = await stored(app, account_id)
    assert await app.refresher.refresh_due() == 0
    await until_due(app, account_id)
    assert before.grant.expires_at is not None
    assert app.clock.now() < before.grant.expires_at
    assert await app.refresher.refresh_due() == 1
    after = await stored(app, account_id)
    assert after.grant.access_token != before.grant.access_token
    assert after.version == before.version + 1
    assert after.grant.expires_at is not None
    assert after.grant.expires_at > before.grant.expires_at
    kind, data = (await app.events())[-1]
    assert kind == "token_refreshed"
    assert data["token_version"] == after.version
    assert await app.refresher.refresh_due() == 0


async def test_linkedin_refreshes_where_it_may_and_keeps_its_refresh_token(app: App) -> None:
    member = await app.member()
    await app.control(
        "people", {"platform": "linkedin", "handle": "partner", "refresh_tokens": True}
    )
    await app.consent(**{"as": "partner", "platform": "linkedin"})
    account_id = await app.connect(member, "linkedin")
    before = await stored(app, account_id)
    await until_due(app, account_id)
    assert await app.refresher.refresh_due() == 1
    after = await stored(app, account_id)
    assert after.version == before.version + 1
    assert after.grant.refresh_token == before.grant.refresh_token


async def test_linkedin_without_a_refresh_token_needs_the_person_at_the_end(app: App) -> None:
    member = await app.member()
    await app.control("people", {"platform": "linkedin", "handle": "plain"})
    await app.consent(**{"as": "plain", "platform": "linkedin"})
    account_id = await app.connect(member, "linkedin")
    app.clock.advance(timedelta(days=59))
    assert await app.refresher.refresh_due() == 0
    app.clock.advance(timedelta(days=1))
    assert await app.refresher.refresh_due() == 1
    found = await app.account(member, account_id)
    assert (found["status"], found["status_reason"]) == ("needs_review", "token-expired")
    assert await app.refresher.refresh_due() == 0


async def test_of_many_refreshers_at_once_one_asks_the_platform(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    await until_due(app, account_id)
    before = len(await requests(app, "x", "2/oauth2/token"))
    done = await asyncio.gather(*(app.refresher.refresh_due() for _ in range(5)))
    assert sum(done) == 1
    assert len(await requests(app, "x", "2/oauth2/token")) == before + 1
    assert (await app.account(member, account_id))["status"] == "active"


@pytest.mark.parametrize("kind", ["500", "reset", "garbage", "429"])
async def test_a_platform_in_trouble_is_no_dead_token(app: App, kind: str) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    await until_due(app, account_id)
    fault = {"platform": "x", "kind": kind, "path_prefix": "/x-api/2/oauth2/token"}
    await app.control("faults", fault)
    assert await app.refresher.refresh_due() == 1
    assert (await app.account(member, account_id))["status"] == "active"
    assert (await stored(app, account_id)).failures == 1
    assert await due(app, account_id) > app.clock.now()
    await until_due(app, account_id)
    assert await app.refresher.refresh_due() == 1
    assert (await stored(app, account_id)).failures == 0
    assert (await app.events())[-1][0] == "token_refreshed"


@pytest.mark.parametrize("platform", ["instagram", "tiktok", "x"])
async def test_the_platforms_definite_word_asks_for_a_person(
    app: App, platform: PlatformName
) -> None:
    member = await app.member()
    account_id = await app.connect(member, platform)
    handle = await app.handle(platform)
    await app.control("revoke", {"platform": platform, "handle": handle, "notify": False})
    await until_due(app, account_id)
    assert await app.refresher.refresh_due() == 1
    found = await app.account(member, account_id)
    assert found["status"] == "needs_review"
    assert found["status_reason"]
    assert (await app.events())[-1][0] == "account_review_requested"
    app.clock.advance(timedelta(days=1))
    assert await app.refresher.refresh_due() == 0
    assert await app.connect(member, platform) == account_id
    assert (await app.account(member, account_id))["status"] == "active"


async def test_connecting_again_during_a_refresh_wins(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await app.member()
    account_id = await app.connect(member, "tiktok")
    await until_due(app, account_id)
    platform = app.refresher._platforms["tiktok"]
    refresh = platform.refresh

    async def meanwhile(http: Any, grant: Grant, *, now: datetime) -> Grant:
        renewed = await refresh(http, grant, now=now)
        await app.connect(member, "tiktok")
        return renewed

    monkeypatch.setattr(type(platform), "refresh", staticmethod(meanwhile))
    assert await app.refresher.refresh_due() == 1
    assert [kind for kind, _ in await app.events()] == [
        "account_connected",
        "account_reconnected",
    ]
    assert (await app.account(member, account_id))["status"] == "active"


async def test_a_rotated_token_is_stored_though_the_database_falters(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    before = await stored(app, account_id)
    await until_due(app, account_id)
    renew, calls = Tokens.renew, 0

    async def falter(
        self: Tokens, connection: AsyncConnection, *args: Any, **kwargs: Any
    ) -> int | None:
        nonlocal calls
        calls += 1
        if calls == 1:  # a real one: the server ends our session
            await connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return await renew(self, connection, *args, **kwargs)

    monkeypatch.setattr(Tokens, "renew", falter)
    assert await app.refresher.refresh_due() == 1
    assert calls == 2
    assert (await stored(app, account_id)).version == before.version + 1


async def test_an_abandoned_lease_is_taken_over(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "tiktok")
    await until_due(app, account_id)
    await app.sql(
        "UPDATE oauth_tokens SET lease_id = gen_random_uuid(), lease_until = :until",
        until=app.clock.now() + timedelta(minutes=2),
    )
    assert await app.refresher.refresh_due() == 0
    app.clock.advance(timedelta(minutes=2))
    assert await app.refresher.refresh_due() == 1


async def test_an_unreadable_row_does_not_hold_up_the_others(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "tiktok")
    broken = await app.connect(member, "x")
    await app.sql(
        "UPDATE oauth_tokens SET access_token_enc = 'broken' WHERE social_account_id = :id",
        id=broken,
    )
    await until_due(app, account_id)
    assert await app.refresher.refresh_due() == 1
    assert (await app.events())[-1][1]["account_id"] == str(account_id)
