"""The project's own platform modules against the simulator: they connect, poll and understand."""

import secrets
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from libs.platforms.base import Credentials, Grant, Platform, Raw
from libs.platforms.registry import build, simulated_endpoints
from libs.simulator.tests.support import CHALLENGE, VERIFIER, Stand, redirect
from libs.simulator.wire import PLATFORMS
from libs.simulator.wire import Platform as Name

each = pytest.mark.parametrize("name", PLATFORMS)
CREDENTIALS = {
    "instagram": Credentials(
        "ig-app",
        SecretStr("ig-app-secret"),
        (SecretStr("ig-app-secret"),),
        SecretStr("ig-verify-token"),
    ),
    "tiktok": Credentials(
        "ck_test", SecretStr("tt-client-secret"), (SecretStr("tt-client-secret"),)
    ),
    "linkedin": Credentials(
        "li-client", SecretStr("li-client-secret"), (SecretStr("li-client-secret"),)
    ),
    "x": Credentials("x-client", SecretStr("x-client-secret"), (SecretStr("x-consumer-secret"),)),
}


def adapter(stand: Stand, name: Name) -> Platform:
    return build(CREDENTIALS, simulated_endpoints(str(stand.http.base_url)))[name]


async def granted(stand: Stand, platform: Platform) -> Grant:
    """The grant at the end of the flow, by the adapter's own authorize URL."""
    await stand.control("consent", mode="allow")
    name = platform.facts.name
    url = platform.authorize_url(
        redirect_uri=redirect(name), state=secrets.token_urlsafe(8), code_challenge=CHALLENGE
    )
    answer = await stand.http.get(url)
    assert answer.status_code == 302, answer.text
    code = httpx.URL(answer.headers["location"]).params["code"]
    return await platform.exchange_code(
        stand.http,
        code=code,
        redirect_uri=redirect(name),
        code_verifier=VERIFIER,
        now=stand.clock.now(),
    )


async def polled(stand: Stand, platform: Platform, grant: Grant, user: str) -> list[Any]:
    seen = []
    for kind in platform.facts.poll_every:
        cursor: dict[str, Any] | None = None
        for _ in range(60):
            page = await platform.poll(
                stand.http,
                kind=kind,
                access_token=grant.access_token,
                platform_user_id=user,
                cursor=cursor,
                now=stand.clock.now(),
            )
            seen += page.observations
            cursor = page.cursor
            if cursor is None:
                break
        assert cursor is None
    return seen


@each
async def test_an_account_connects_and_is_who_it_says(stand: Stand, name: Name) -> None:
    platform = adapter(stand, name)
    grant = await granted(stand, platform)
    assert platform.facts.required_scopes <= set(grant.scopes)
    person = await stand.person(name)
    profile = await platform.profile(stand.http, grant)
    assert profile.platform_user_id.rpartition(":")[2] == person["account_id"]
    assert profile.handle == person["handle"]


@each
async def test_a_grant_is_refreshed_and_given_back(stand: Stand, name: Name) -> None:
    platform = adapter(stand, name)
    grant = await granted(stand, platform)
    stand.clock.advance(hours=25 if name == "instagram" else 1)
    fresh = await platform.refresh(stand.http, grant, now=stand.clock.now())
    assert fresh.access_token != grant.access_token
    await platform.profile(stand.http, fresh)
    await platform.revoke(stand.http, fresh)


@each
async def test_polls_and_the_history_are_translated_alike(stand: Stand, name: Name) -> None:
    platform = adapter(stand, name)
    grant = await granted(stand, platform)
    profile = await platform.profile(stand.http, grant)
    observations = await polled(stand, platform, grant, profile.platform_user_id)
    live = {one.kind: one.payload["responses"] for one in observations}
    handle = (await stand.person(name))["handle"]
    params: dict[str, Any] = {"platform": name, "handle": handle, "days": 2}
    past = (await stand.http.get("/_control/history", params=params)).json()
    told = {one["kind"]: one["responses"] for one in past}
    assert set(told) == set(live)
    for kind, responses in live.items():
        assert set(responses) == set(told[kind])
        assert shape(platform, stand, kind, responses) == shape(platform, stand, kind, told[kind])


def shape(platform: Platform, stand: Stand, kind: str, responses: dict[str, Any]) -> Any:
    """Which type an observation is translated to, and which of its fields are known."""
    now = stand.clock.now()
    raw = Raw(
        id=uuid4(),
        workspace_id=uuid4(),
        account_id=uuid4(),
        platform=platform.facts.name,
        type=f"poll.{kind}",
        payload={"observed_at": now.isoformat(), "responses": responses},
        received_at=now + timedelta(seconds=1),
    )
    event = platform.translate(raw)
    assert event is not None
    known = {k for k, v in event.model_dump().items() if v is not None}
    return type(event), known


@each
async def test_webhooks_are_verified_split_and_translated(stand: Stand, name: Name) -> None:
    platform = adapter(stand, name)
    made = await stand.control("generate", platform=name, count=60, batch=10)
    keys = set()
    for one in made:
        headers = {k.lower(): v for k, v in one["headers"].items()}
        platform.verify(headers, one["body"].encode(), stand.clock.now())
        changes = platform.split(httpx.Response(200, content=one["body"]).json())
        assert len(changes) == len(one["items"])
        keys |= {change.key for change in changes}
        for change, item in zip(changes, one["items"], strict=True):
            assert change.platform_user_id is not None
            assert change.platform_user_id.rpartition(":")[2] == item["account_id"]
            raw = Raw(
                id=uuid4(),
                workspace_id=uuid4(),
                account_id=uuid4(),
                platform=name,
                type=change.type,
                payload=change.payload,
                received_at=stand.clock.now(),
            )
            platform.translate(raw)
    assert len(keys) == 60


@pytest.mark.parametrize("name", ["instagram", "linkedin", "x"])
async def test_the_adapters_handshake_passes_the_simulators_check(stand: Stand, name: Name) -> None:
    """Both sides of the handshake are the project's; the vectors prove each alone."""
    platform = adapter(stand, name)
    asked = {
        "instagram": {
            "hub.mode": "subscribe",
            "hub.verify_token": "ig-verify-token",
            "hub.challenge": "115",
        },
        "linkedin": {"challengeCode": "890e4665-4dfe-4ab1-b689-ed553bceeed0"},
        "x": {"crc_token": "crc-token-123"},
    }[name]
    reply = platform.handshake(asked)
    assert reply is not None
    answer = await stand.http.get(f"{stand.receiver.url}/webhooks/{name}", params=asked)
    assert reply.body == answer.content or httpx.Response(200, content=reply.body).json() == (
        answer.json()
    )
