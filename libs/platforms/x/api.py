"""X's API: its refusals, and the pace that each reply's headers set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from libs.platforms.base import (
    Endpoints,
    PlatformError,
    RateLimited,
    ReconnectRequired,
    Rejected,
    Unavailable,
)
from libs.platforms.http import RATE_LIMIT_USED, Answer, Refusal, call, until
from libs.platforms.shapes import dig

# All windows are of 15 minutes.
WINDOW = timedelta(minutes=15)


def refusal(now: datetime | None) -> Refusal:
    """By status, for the problem types are not always there. A 429 waits for its window's end."""

    def of(answer: Answer) -> PlatformError:
        problem = str(dig(answer.document, "type")).rpartition("/")[2]
        if answer.status == 429 or dig(answer.document, "errors", 0, "code") == 88:
            ends = window_end(answer)
            return RateLimited(until(ends, now) if ends and now else WINDOW)
        if answer.status == 401:
            return ReconnectRequired("token-dead")
        if answer.status == 402 or problem == "usage-capped":
            return Rejected("credits-depleted")
        return Rejected("not-permitted" if answer.status == 403 else "refused")

    return of


def window_end(answer: Answer) -> datetime | None:
    value = answer.headers.get("x-rate-limit-reset", "")
    if not (value.isascii() and value.isdigit() and len(value) <= 11):
        return None
    return datetime.fromtimestamp(int(value), UTC)


def used_share(answer: Answer) -> float | None:
    """How much of the endpoint's window this token has used, 0 to 1; None when it is not said."""
    limit, left = (
        answer.headers.get(f"x-rate-limit-{name}", "") for name in ("limit", "remaining")
    )
    if not all(value.isascii() and value.isdigit() and len(value) < 10 for value in (limit, left)):
        return None
    return max(0.0, 1 - int(left) / int(limit)) if int(limit) else None


class Api:
    """GET requests with one token. `not_before` is set when a window is used up."""

    def __init__(
        self, http: httpx.AsyncClient, at: Endpoints, token: SecretStr, now: datetime | None
    ) -> None:
        self._http, self._at, self._token, self._now = http, at, token, now
        self.not_before: datetime | None = None

    async def get(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        """A reply may hold `errors` beside its data: what it lacks is then simply not there.

        One with errors alone raises Rejected.
        """
        answer = await call(
            self._http,
            "GET",
            f"{self._at.api}/2/{path}",
            platform="x",
            refusal=refusal(self._now),
            token=self._token,
            params=params,
        )
        used = used_share(answer)
        if used is not None:
            RATE_LIMIT_USED.labels("x").set(used)
        if answer.headers.get("x-rate-limit-remaining") == "0":
            ends = window_end(answer)
            if ends is not None and (self.not_before is None or ends > self.not_before):
                self.not_before = ends
        document: dict[str, Any] = answer.document
        if "data" not in document and "meta" not in document:
            raise Rejected("refused") if document.get("errors") else Unavailable("garbage")
        return document
