"""Consent, tokens and profiles of all four platforms, over HTTP at the simulator."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.contracts.accounts import PlatformName
from libs.platforms.base import ReconnectRequired, Rejected
from libs.platforms.tests.simulated import Simulated
from libs.platforms.tests.support import NAMES

each_platform = pytest.mark.parametrize("name", NAMES)
DAY = 86400


@each_platform
async def test_a_code_becomes_a_grant_with_the_granted_scopes(
    simulated: Simulated, name: PlatformName
) -> None:
    grant = await simulated.grant(name)
    facts = simulated.platforms[name].facts
    assert set(grant.scopes) == set(facts.scopes)
    assert grant.expires_at is not None
    assert grant.expires_at > await simulated.now() + timedelta(minutes=100)
    assert (grant.refresh_token is None) == (facts.refresh == "exchange")


@each_platform
async def test_the_profile_is_the_one_that_webhooks_name(
    simulated: Simulated, name: PlatformName
) -> None:
    person = await simulated.person(name)
    grant = await simulated.grant(name)
    profile = await simulated.platforms[name].profile(simulated.http, grant)
    prefix = "urn:li:organization:" if name == "linkedin" else ""
    assert profile.platform_user_id == prefix + person["account_id"]
    assert (profile.handle, profile.display_name) == (person["handle"], person["name"])
    assert profile.other_ids == ((person["member_id"],) if name == "instagram" else ())


async def test_a_linkedin_member_without_an_organisation_is_connected_as_a_person(
    simulated: Simulated,
) -> None:
    person = await simulated.person("linkedin", handle="only.me", organisation=False)
    grant = await simulated.grant("linkedin", "only.me")
    profile = await simulated.platforms["linkedin"].profile(simulated.http, grant)
    assert profile.platform_user_id == f"urn:li:person:{person['member_id']}"
    assert grant.refresh_token is None
    with pytest.raises(ReconnectRequired):
        await simulated.platforms["linkedin"].refresh(
            simulated.http, grant, now=await simulated.now()
        )


@each_platform
async def test_scopes_that_were_withheld_are_missing_from_the_grant(
    simulated: Simulated, name: PlatformName
) -> None:
    kept = list(simulated.platforms[name].facts.scopes[:2])
    grant = await simulated.grant(name, grant_scopes=kept)
    assert list(grant.scopes) == kept


@each_platform
async def test_a_code_works_once(simulated: Simulated, name: PlatformName) -> None:
    person = await simulated.person(name)
    code = await simulated.code(name, person["handle"])
    await simulated.exchange(name, code)
    with pytest.raises(Rejected):
        await simulated.exchange(name, code)


@each_platform
async def test_a_code_that_was_never_given_is_rejected(
    simulated: Simulated, name: PlatformName
) -> None:
    with pytest.raises(Rejected):
        await simulated.exchange(name, "made-up")


async def test_instagrams_appendix_to_the_code_is_cut_off(simulated: Simulated) -> None:
    person = await simulated.person("instagram")
    code = await simulated.code("instagram", person["handle"])
    grant = await simulated.exchange("instagram", code + "#_")
    assert grant.access_token.get_secret_value()


async def test_x_rejects_another_code_verifier(simulated: Simulated) -> None:
    person = await simulated.person("x")
    code = await simulated.code("x", person["handle"])
    with pytest.raises(Rejected):
        await simulated.exchange("x", code, verifier="w" * 64)


@pytest.mark.parametrize("name", ["tiktok", "x"])
async def test_where_refresh_tokens_rotate_the_old_one_is_dead(
    simulated: Simulated, name: PlatformName
) -> None:
    platform = simulated.platforms[name]
    old = await simulated.grant(name)
    new = await platform.refresh(simulated.http, old, now=await simulated.now())
    assert new.refresh_token is not None
    assert new.refresh_token != old.refresh_token
    assert set(new.scopes) == set(old.scopes)
    await platform.profile(simulated.http, new)
    with pytest.raises(ReconnectRequired):
        await platform.refresh(simulated.http, old, now=await simulated.now())


async def test_linkedins_refresh_token_stays_with_its_end(simulated: Simulated) -> None:
    platform = simulated.platforms["linkedin"]
    old = await simulated.grant("linkedin")
    new = await platform.refresh(simulated.http, old, now=await simulated.now())
    assert new.refresh_token == old.refresh_token
    assert new.access_token != old.access_token
    assert old.refresh_expires_at is not None
    assert new.refresh_expires_at is not None
    assert abs(new.refresh_expires_at - old.refresh_expires_at) < timedelta(seconds=10)


async def test_an_instagram_token_is_renewed_once_it_is_a_day_old(ageing: Simulated) -> None:
    platform = ageing.platforms["instagram"]
    old = await ageing.grant("instagram")
    with pytest.raises(Rejected):
        await platform.refresh(ageing.http, old, now=await ageing.now())
    await ageing.control("clock", {"advance_s": DAY + 60})
    new = await platform.refresh(ageing.http, old, now=await ageing.now())
    assert old.expires_at is not None
    assert new.expires_at is not None
    assert new.expires_at > old.expires_at
    assert new.scopes == old.scopes
    await platform.profile(ageing.http, new)


async def test_an_instagram_token_that_expired_needs_the_person(ageing: Simulated) -> None:
    grant = await ageing.grant("instagram")
    await ageing.control("clock", {"advance_s": 61 * DAY})
    with pytest.raises(ReconnectRequired) as dead:
        await ageing.platforms["instagram"].refresh(ageing.http, grant, now=await ageing.now())
    assert dead.value.reason == "expired"


@each_platform
async def test_a_grant_that_the_person_took_back_needs_the_person(
    simulated: Simulated, name: PlatformName
) -> None:
    person = await simulated.person(name)
    grant = await simulated.grant(name)
    revoked = {"platform": name, "handle": person["handle"], "notify": False}
    await simulated.control("revoke", revoked)
    platform = simulated.platforms[name]
    with pytest.raises(ReconnectRequired):
        await platform.poll(
            simulated.http,
            kind="account",
            access_token=grant.access_token,
            platform_user_id=person["account_id"],
            cursor=None,
            now=await simulated.now(),
        )
    with pytest.raises(ReconnectRequired):
        await platform.refresh(simulated.http, grant, now=await simulated.now())


@pytest.mark.parametrize("name", ["tiktok", "linkedin", "x"])
async def test_giving_a_grant_back_kills_it_and_may_be_repeated(
    simulated: Simulated, name: PlatformName
) -> None:
    platform = simulated.platforms[name]
    grant = await simulated.grant(name)
    await platform.revoke(simulated.http, grant)
    await platform.revoke(simulated.http, grant)
    with pytest.raises(ReconnectRequired):
        await platform.poll(
            simulated.http,
            kind="account",
            access_token=grant.access_token,
            platform_user_id="1",
            cursor=None,
            now=await simulated.now(),
        )


async def test_instagram_has_nothing_to_give_a_grant_back_to(simulated: Simulated) -> None:
    platform = simulated.platforms["instagram"]
    grant = await simulated.grant("instagram")
    await platform.revoke(simulated.http, grant)
    await platform.profile(simulated.http, grant)
