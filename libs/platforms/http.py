"""One request to a platform: bounded in time and size, its failure turned into a PlatformError."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
from prometheus_client import Gauge, Histogram
from pydantic import SecretStr

from libs.contracts.accounts import PlatformName
from libs.platforms.base import PlatformError, RateLimited, Unavailable

DURATION = Histogram(
    "rookery_platform_request_duration_seconds",
    "Requests to platforms, by how they ended",
    ["platform", "outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
RATE_LIMIT_USED = Gauge(
    "rookery_platform_rate_limit_used_ratio",
    "Share of the rate limit used up, as the platform said in its last answer",
    ["platform"],
)

_DEADLINE = 30.0
_LARGEST_BODY = 16 * 1024 * 1024
_LONGEST_WAIT = timedelta(days=1)

# httpx logs each URL at INFO, and Instagram wants tokens and secrets in URLs.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply of a platform: `document` is its JSON, None when the body is empty or no JSON."""

    status: int
    headers: httpx.Headers
    document: Any


Refusal = Callable[[Answer], PlatformError]


async def call(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    platform: PlatformName,
    refusal: Refusal,
    token: SecretStr | None = None,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    json: Any = None,
    empty: bool = False,
) -> Answer:
    """The reply with a 2xx status and a JSON object as body (or, with `empty`, any body).

    Raises Unavailable for network errors, 5xx, redirects and garbage, at the latest after 30 s;
    RateLimited for 429 with Retry-After; else what `refusal` makes of the reply. `params` must be
    absent when `url` has a query of its own.
    """
    sent = dict(headers or {})
    if token is not None:
        sent["authorization"] = f"Bearer {token.get_secret_value()}"
    request = http.build_request(
        method,
        url,
        headers=sent,
        params=params or None,
        data=dict(form) if form else None,
        json=json,
    )
    began = time.perf_counter()
    outcome = "broken"
    try:
        answer = await _answer(http, request, refusal, empty=empty)
        outcome = "answered"
    except PlatformError as error:
        outcome = error.kind
        raise
    finally:
        DURATION.labels(platform, outcome).observe(time.perf_counter() - began)
    return answer


async def _answer(
    http: httpx.AsyncClient, request: httpx.Request, refusal: Refusal, *, empty: bool
) -> Answer:
    answer = await _send(http, request)
    if answer.status >= 500 or 300 <= answer.status < 400:
        raise Unavailable(f"status-{answer.status}")
    if answer.status >= 400:
        wait = retry_after(answer)
        raise RateLimited(wait) if answer.status == 429 and wait else refusal(answer)
    if not empty and not isinstance(answer.document, dict):
        raise Unavailable("garbage")
    return answer


async def _send(http: httpx.AsyncClient, request: httpx.Request) -> Answer:
    body = bytearray()
    try:
        # A deadline of its own: a server that drips bytes never trips httpx's timeouts.
        async with asyncio.timeout(_DEADLINE):
            response = await http.send(request, stream=True)
            try:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _LARGEST_BODY:
                        raise Unavailable("too-large")
            finally:
                await response.aclose()
    except (TimeoutError, httpx.TimeoutException):
        raise Unavailable("timeout") from None
    except httpx.HTTPError:
        raise Unavailable("network") from None
    try:
        document = orjson.loads(body)
    except ValueError:
        document = None
    return Answer(response.status_code, response.headers, document)


def retry_after(answer: Answer) -> timedelta | None:
    """The seconds of Retry-After, at most a day; None without."""
    value = answer.headers.get("retry-after", "")
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        return None
    return min(timedelta(seconds=max(1, int(value))), _LONGEST_WAIT)


def until(moment: datetime, now: datetime) -> timedelta:
    """How long to wait from `now` until `moment`: at least a second, at most a day."""
    return min(max(moment - now, timedelta(seconds=1)), _LONGEST_WAIT)
