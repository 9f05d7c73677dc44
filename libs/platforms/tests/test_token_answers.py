"""How the token endpoints refuse, and the forms in which they grant."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from libs.contracts.accounts import PlatformName
from libs.platforms.base import (
    ReconnectRequired,
    Rejected,
)
from libs.platforms.tests.scripted import (
    GRANT,
    NOW,
    Reply,
    Scripted,
    graph,
    refused_refresh,
)
from libs.platforms.tests.support import NAMES

each_platform = pytest.mark.parametrize("name", NAMES)


DEAD: dict[PlatformName, list[dict[str, Any]]] = {
    "instagram": [graph(190, 463)],
    "tiktok": [{"error": "invalid_grant", "error_description": "canary"}],
    "linkedin": [{"error": "invalid_request"}, {"error": "invalid_grant"}],
    "x": [
        {"error": "invalid_grant"},
        {
            "error": "invalid_request",
            "error_description": "Value passed for the token was invalid.",
        },
    ],
}


@each_platform
async def test_a_dead_refresh_token_needs_the_person(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName
) -> None:
    for body in DEAD[name]:
        error = await refused_refresh(script, http, name, Reply(400, body))
        assert isinstance(error, ReconnectRequired)


@pytest.mark.parametrize("name", ["tiktok", "linkedin", "x"])
@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "server_error"])
async def test_a_mistake_of_our_own_does_not_kill_the_grant(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName, error: str
) -> None:
    for status in (400, 401):
        refusal = await refused_refresh(script, http, name, Reply(status, {"error": error}))
        assert type(refusal) is Rejected


async def test_x_tells_other_invalid_requests_from_a_dead_token(
    script: Scripted, http: httpx.AsyncClient
) -> None:
    body = {"error": "invalid_request", "error_description": "Missing required parameter [x]."}
    assert type(await refused_refresh(script, http, "x", Reply(400, body))) is Rejected


async def test_tiktok_may_refuse_a_refresh_with_status_200(
    script: Scripted, http: httpx.AsyncClient
) -> None:
    body = {"error": "invalid_grant", "error_description": "canary", "log_id": "1"}
    error = await refused_refresh(script, http, "tiktok", Reply(200, body))
    assert isinstance(error, ReconnectRequired)


@pytest.mark.parametrize("answer", [{}, {"refresh_token": ""}, {"refresh_token": None}])
async def test_an_answer_without_refresh_token_keeps_it_where_it_is_fixed(
    script: Scripted, http: httpx.AsyncClient, answer: dict[str, Any]
) -> None:
    body = {"access_token": "new", "expires_in": 60, **answer}
    script.answers(Reply(200, body), Reply(200, body))
    fixed = await script.platforms["linkedin"].refresh(http, GRANT, now=NOW)
    assert fixed.refresh_token == GRANT.refresh_token
    assert fixed.expires_at == NOW + timedelta(seconds=60)
    assert fixed.scopes == GRANT.scopes
    rotating = await script.platforms["x"].refresh(http, GRANT, now=NOW)
    assert rotating.refresh_token is None


@pytest.mark.parametrize(
    "permissions",
    ["instagram_business_basic,other", ["instagram_business_basic", "other"]],
)
@pytest.mark.parametrize("flat", [True, False])
async def test_instagram_answers_flat_or_in_a_list_with_permissions_in_two_forms(
    script: Scripted, http: httpx.AsyncClient, permissions: object, flat: bool
) -> None:
    short = {"access_token": "short", "user_id": 1, "permissions": permissions}
    long = {"access_token": "long", "token_type": "bearer", "expires_in": 5183944}
    script.answers(Reply(200, short if flat else {"data": [short]}), Reply(200, long))
    grant = await script.platforms["instagram"].exchange_code(
        http, code="c", redirect_uri="https://a.example", code_verifier=None, now=NOW
    )
    assert grant.access_token.get_secret_value() == "long"
    assert grant.scopes == ("instagram_business_basic", "other")
    assert grant.expires_at == NOW + timedelta(seconds=5183944)
