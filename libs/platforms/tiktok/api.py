"""How TikTok's API and its token endpoint refuse."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from libs.platforms.base import (
    PlatformError,
    RateLimited,
    ReconnectRequired,
    Rejected,
    Unavailable,
)
from libs.platforms.http import Answer, call
from libs.platforms.shapes import dig, text

# Limits count a sliding minute and come without headers.
MINUTE = timedelta(minutes=1)
_DEAD_TOKEN = {"access_token_invalid", "access_token_expired", "invalid_access_token"}


def refusal(answer: Answer) -> PlatformError:
    """By `error.code`, which is not always in step with the status."""
    code = text(dig(answer.document, "error", "code"))
    if answer.status == 429 or code == "rate_limit_exceeded":
        return RateLimited(MINUTE)
    if code == "scope_not_authorized":
        return ReconnectRequired("scope-missing")
    if answer.status == 401 or code in _DEAD_TOKEN:
        return ReconnectRequired("token-dead")
    if code == "internal_error":
        return Unavailable("internal-error")
    return Rejected("refused")


async def call_api(http: httpx.AsyncClient, method: str, url: str, **how: Any) -> dict[str, Any]:
    """The body of a good reply; one with status 200 may be a refusal too."""
    answer = await call(http, method, url, platform="tiktok", refusal=refusal, **how)
    if text(dig(answer.document, "error", "code")) not in {"ok", None}:
        raise refusal(answer)
    if not isinstance(dig(answer.document, "data"), dict):
        raise Unavailable("garbage")
    document: dict[str, Any] = answer.document
    return document
