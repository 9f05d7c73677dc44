"""How each platform refuses a read, and how it sets the pace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from libs.platforms.base import (
    PlatformError,
    RateLimited,
    ReconnectRequired,
    Rejected,
    Unavailable,
)
from libs.platforms.tests.scripted import (
    NOW,
    Reply,
    Scripted,
    graph,
    poll,
    refused,
)


@pytest.mark.parametrize(
    ("status", "body", "expected", "reason"),
    [
        (400, graph(190, 458), ReconnectRequired, "app-removed"),
        (400, graph(190, 460), ReconnectRequired, "password-changed"),
        (400, graph(190, 463), ReconnectRequired, "expired"),
        (400, graph(190), ReconnectRequired, "token-dead"),
        (400, graph(4), RateLimited, "rate-limited"),
        (403, graph(17), RateLimited, "rate-limited"),
        (400, graph(32), RateLimited, "rate-limited"),
        (400, graph(613), RateLimited, "rate-limited"),
        (400, graph(80002), RateLimited, "rate-limited"),
        (400, graph(4, 2207051), Rejected, "spam-blocked"),
        (400, graph(1), Unavailable, "transient"),
        (400, graph(2), Unavailable, "transient"),
        (400, graph(77, is_transient=True), Unavailable, "transient"),
        (400, graph(10), Rejected, "not-permitted"),
        (403, graph(200), Rejected, "not-permitted"),
        (400, graph(100, 33), Rejected, "refused"),
        (400, graph(368), Rejected, "blocked"),
        (400, graph(["canary"]), Rejected, "refused"),
    ],
)
async def test_instagram_refuses_by_error_code(
    script: Scripted,
    http: httpx.AsyncClient,
    status: int,
    body: dict[str, Any],
    expected: type[PlatformError],
    reason: str,
) -> None:
    error = await refused(script, http, "instagram", Reply(status, body))
    assert (type(error), error.reason) == (expected, reason)


def usage(percent: int, minutes: int = 0) -> dict[str, str]:
    entry = {"type": "instagram", "call_count": percent}
    entry |= {"estimated_time_to_regain_access": minutes}
    return {"x-business-use-case-usage": orjson.dumps({"1": [entry]}).decode()}


async def test_instagram_says_in_minutes_when_access_is_regained(
    script: Scripted, http: httpx.AsyncClient
) -> None:
    error = await refused(script, http, "instagram", Reply(400, graph(80002), usage(100, 42)))
    assert isinstance(error, RateLimited)
    assert error.retry_after == timedelta(minutes=42)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (usage(79), None),
        (usage(80), timedelta(minutes=10)),
        (usage(100, 42), timedelta(minutes=42)),
        (
            {"x-app-usage": '{"call_count":1,"total_time":95,"total_cputime":1}'},
            timedelta(minutes=10),
        ),
        ({"x-app-usage": "not json"}, None),
        ({"x-business-use-case-usage": "[1]"}, None),
    ],
)
async def test_instagrams_usage_sets_the_pace(
    script: Scripted, http: httpx.AsyncClient, headers: dict[str, str], wait: timedelta | None
) -> None:
    reply = Reply(200, {"data": []}, headers)
    page = await poll(script, http, "instagram", reply, reply, reply)
    assert page.not_before == (None if wait is None else NOW + wait)


async def test_a_metric_that_instagram_does_not_have_is_null(
    script: Scripted, http: httpx.AsyncClient
) -> None:
    good = Reply(200, {"data": []})
    page = await poll(script, http, "instagram", good, good, Reply(400, graph(100)))
    assert page.observations[0].payload["responses"]["profile_views"] is None


@pytest.mark.parametrize(
    ("status", "body", "expected", "reason"),
    [
        (401, {"serviceErrorCode": 65600}, ReconnectRequired, "invalid"),
        (401, {"serviceErrorCode": 65601}, ReconnectRequired, "revoked"),
        (401, {"serviceErrorCode": 65602}, ReconnectRequired, "expired"),
        (403, {"serviceErrorCode": 100}, Rejected, "not-permitted"),
        (426, {"code": "NONEXISTENT_VERSION"}, Rejected, "version-retired"),
        (429, {"status": 429}, RateLimited, "rate-limited"),
    ],
)
async def test_linkedin_refuses_by_status_and_service_error_code(
    script: Scripted,
    http: httpx.AsyncClient,
    status: int,
    body: dict[str, Any],
    expected: type[PlatformError],
    reason: str,
) -> None:
    error = await refused(script, http, "linkedin", Reply(status, body))
    assert (type(error), error.reason) == (expected, reason)


def tiktok(code: str) -> dict[str, Any]:
    return {"data": {}, "error": {"code": code, "message": "canary", "log_id": "1"}}


@pytest.mark.parametrize(
    ("status", "code", "expected", "reason"),
    [
        (401, "access_token_invalid", ReconnectRequired, "token-dead"),
        (200, "access_token_invalid", ReconnectRequired, "token-dead"),
        (429, "rate_limit_exceeded", RateLimited, "rate-limited"),
        (200, "rate_limit_exceeded", RateLimited, "rate-limited"),
        (403, "spam_risk_user_banned_from_posting", Rejected, "refused"),
        (200, "spam_risk_too_many_posts", Rejected, "refused"),
        (400, "invalid_params", Rejected, "refused"),
        (400, "internal_error", Unavailable, "internal-error"),
    ],
)
async def test_tiktok_refuses_by_error_code_even_with_status_200(
    script: Scripted,
    http: httpx.AsyncClient,
    status: int,
    code: str,
    expected: type[PlatformError],
    reason: str,
) -> None:
    error = await refused(script, http, "tiktok", Reply(status, tiktok(code)))
    assert (type(error), error.reason) == (expected, reason)


async def test_tiktok_is_asked_for_less_when_a_scope_is_withheld(
    script: Scripted, http: httpx.AsyncClient
) -> None:
    user = Reply(200, {"data": {"user": {"follower_count": 1}}, "error": {"code": "ok"}})
    videos = Reply(200, {"data": {"videos": [], "has_more": False}, "error": {"code": "ok"}})
    withheld = Reply(401, tiktok("scope_not_authorized"))
    page = await poll(script, http, "tiktok", withheld, user, videos)
    assert len(page.observations) == 1
    assert "username" in script.requests[0]
    assert "username" not in script.requests[1]


@pytest.mark.parametrize(
    ("reset", "wait"),
    [
        (int(NOW.timestamp()) + 300, timedelta(minutes=5)),
        (int(NOW.timestamp()) - 5, timedelta(seconds=1)),
        (99_999_999_999, timedelta(days=1)),
        ("soon", timedelta(minutes=15)),
    ],
)
async def test_x_says_when_its_window_ends(
    script: Scripted, http: httpx.AsyncClient, reset: object, wait: timedelta
) -> None:
    headers = {"x-rate-limit-reset": str(reset)}
    error = await refused(script, http, "x", Reply(429, {"title": "canary"}, headers))
    assert isinstance(error, RateLimited)
    assert error.retry_after == wait


@pytest.mark.parametrize(
    ("status", "body", "expected", "reason"),
    [
        (402, {"title": "CreditsDepleted"}, Rejected, "credits-depleted"),
        (403, {"type": "https://api.x.com/2/problems/usage-capped"}, Rejected, "credits-depleted"),
        (403, {"title": "Forbidden", "type": "about:blank"}, Rejected, "not-permitted"),
        (400, {"errors": [{"code": 88}]}, RateLimited, "rate-limited"),
        (200, {"errors": [{"title": "Not Found Error"}]}, Rejected, "refused"),
    ],
)
async def test_x_refuses_by_status_and_problem_type(
    script: Scripted,
    http: httpx.AsyncClient,
    status: int,
    body: dict[str, Any],
    expected: type[PlatformError],
    reason: str,
) -> None:
    error = await refused(script, http, "x", Reply(status, body))
    assert (type(error), error.reason) == (expected, reason)


async def test_x_without_analytics_or_posts_still_gives_the_user(
    script: Scripted, http: httpx.AsyncClient
) -> None:
    user = Reply(200, {"data": {"id": "1", "public_metrics": {}}})
    none = Reply(200, {"meta": {"result_count": 0}})
    some = Reply(200, {"data": [{"id": "5"}], "meta": {"result_count": 1}})
    for replies in ((user, none), (user, some, Reply(403))):
        page = await poll(script, http, "x", *replies)
        assert page.observations[0].payload["responses"]["analytics"] is None
