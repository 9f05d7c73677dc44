"""What goes wrong on the wire, and the one error each of it becomes."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from prometheus_client import REGISTRY

from libs.contracts.accounts import PlatformName
from libs.platforms import http as http_module
from libs.platforms.base import (
    RateLimited,
    ReconnectRequired,
    Rejected,
    Unavailable,
)
from libs.platforms.tests.scripted import (
    GRANT,
    NOW,
    Reply,
    Scripted,
    refused,
    refused_refresh,
    scripted_server,
)
from libs.platforms.tests.support import NAMES

POST_WITHOUT_TIME = {
    "id": "1",
    **dict.fromkeys(("timestamp", "create_time", "publishedAt", "created_at"), "soon"),
}
each_platform = pytest.mark.parametrize("name", NAMES)


@each_platform
@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, {"error": {"code": 190}}),
        Reply(502, b"<html>"),
        Reply(503),
        Reply(200, b"<html>"),
        Reply(200, b""),
        Reply(200, b"[]"),
        Reply(200, b"null"),
        Reply(200, b'{"a": NaN}'),
        Reply(200, b"\xff\xfe{\x00}\x00"),
        Reply(200, b"[" * 100_000),
        Reply(302, {}, {"location": "https://elsewhere.example/"}),
        Reply(200, b"x", {"content-encoding": "gzip"}),
    ],
    ids=lambda reply: f"{reply.status}-{str(reply.body)[:8]}",
)
async def test_no_usable_answer_is_unavailable_for_polls_and_refreshes(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName, reply: Reply
) -> None:
    assert type(await refused(script, http, name, reply)) is Unavailable
    assert type(await refused_refresh(script, http, name, reply)) is Unavailable


@each_platform
@pytest.mark.parametrize("page", [5, [5], [POST_WITHOUT_TIME]])
async def test_a_page_of_posts_in_another_shape_is_unavailable(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName, page: object
) -> None:
    data = {"videos": page} if name == "tiktok" else page
    script.answers(Reply(200, {"data": data, "elements": page}))
    with pytest.raises(Unavailable):
        await script.platforms[name].poll(
            http,
            kind="posts",
            access_token=GRANT.access_token,
            platform_user_id="urn:li:organization:1",
            cursor=None,
            now=NOW,
        )


@each_platform
async def test_a_body_without_end_is_cut_off(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "_LARGEST_BODY", 1000)
    error = await refused(script, http, name, Reply(200, b" " * 1001))
    assert (type(error), error.reason) == (Unavailable, "too-large")


@each_platform
@pytest.mark.parametrize("reply", [Reply(hang=True), Reply(drip=True)], ids=["hang", "drip"])
async def test_an_answer_that_never_ends_is_given_up(
    script: Scripted,
    http: httpx.AsyncClient,
    name: PlatformName,
    reply: Reply,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_module, "_DEADLINE", 0.2)
    error = await refused(script, http, name, reply)
    assert (type(error), error.reason) == (Unavailable, "timeout")


async def test_a_platform_that_is_not_there_is_unavailable(http: httpx.AsyncClient) -> None:
    async with scripted_server() as gone:
        platform = gone.platforms["x"]
    with pytest.raises(Unavailable):
        await platform.profile(http, GRANT)


@each_platform
async def test_retry_after_is_honoured(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName
) -> None:
    error = await refused(script, http, name, Reply(429, {}, {"retry-after": "77"}))
    assert isinstance(error, RateLimited)
    assert error.retry_after == timedelta(seconds=77)


@each_platform
async def test_every_request_is_counted_by_how_it_ended(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName
) -> None:
    def counted(outcome: str) -> float:
        labels = {"platform": name, "outcome": outcome}
        metric = "rookery_platform_request_duration_seconds_count"
        return REGISTRY.get_sample_value(metric, labels) or 0

    limited, away = counted("rate-limited"), counted("unavailable")
    await refused(script, http, name, Reply(429, {}, {"retry-after": "77"}))
    await refused(script, http, name, Reply(500))
    assert (counted("rate-limited") - limited, counted("unavailable") - away) == (1, 1)


@each_platform
@pytest.mark.parametrize("value", ["soon", "-5", "", "1" * 30])
async def test_a_retry_after_that_says_nothing_leaves_the_platforms_own_wait(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName, value: str
) -> None:
    error = await refused(script, http, name, Reply(429, {}, {"retry-after": value}))
    assert isinstance(error, RateLimited)
    assert timedelta(0) < error.retry_after <= timedelta(hours=1)


@each_platform
async def test_no_wait_is_longer_than_a_day(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName
) -> None:
    error = await refused(script, http, name, Reply(429, {}, {"retry-after": "999999999"}))
    assert isinstance(error, RateLimited)
    assert error.retry_after == timedelta(days=1)


@each_platform
async def test_a_401_needs_the_person(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName
) -> None:
    assert isinstance(await refused(script, http, name, Reply(401)), ReconnectRequired)


@each_platform
async def test_another_4xx_is_rejected(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName
) -> None:
    assert type(await refused(script, http, name, Reply(400, b"canary-body"))) is Rejected
    assert type(await refused(script, http, name, Reply(404, {"error": []}))) is Rejected


async def test_a_kind_of_poll_that_a_platform_has_not_is_a_mistake_of_the_caller(
    script: Scripted, http: httpx.AsyncClient
) -> None:
    for name in ("tiktok", "x"):
        with pytest.raises(ValueError, match="audience"):
            await script.platforms[name].poll(
                http,
                kind="audience",
                access_token=GRANT.access_token,
                platform_user_id="1",
                cursor=None,
                now=NOW,
            )


async def test_tokens_and_secrets_are_not_logged(
    script: Scripted, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    script.answers(Reply(200, {"access_token": "new", "expires_in": 60}))
    await script.platforms["instagram"].refresh(http, GRANT, now=NOW)
    assert "canary-access" in script.requests[0]
    assert "canary" not in caplog.text
