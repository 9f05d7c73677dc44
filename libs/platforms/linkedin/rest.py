"""LinkedIn's versioned REST API: its headers, its URL syntax, its refusals."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from libs.platforms.base import Endpoints, PlatformError, RateLimited, ReconnectRequired, Rejected
from libs.platforms.http import Answer, call
from libs.platforms.shapes import dig, whole

# A version lives for about twelve months; this one is to be raised at least yearly.
VERSION = "202606"

# Quotas are of the day and end at 00:00 UTC, but nothing says which quota it was: ask hourly.
_THROTTLED = timedelta(hours=1)
_DEAD_BECAUSE = {65600: "invalid", 65601: "revoked", 65602: "expired"}


def refusal(answer: Answer) -> PlatformError:
    code = whole(dig(answer.document, "serviceErrorCode")) or 0
    if answer.status == 429:
        return RateLimited(_THROTTLED)
    if answer.status == 401 or code in _DEAD_BECAUSE:
        return ReconnectRequired(_DEAD_BECAUSE.get(code, "token-dead"))
    if answer.status == 403:
        return Rejected("not-permitted")
    return Rejected("version-retired" if answer.status == 426 else "refused")


class Rest:
    """GET requests with one token."""

    def __init__(self, http: httpx.AsyncClient, at: Endpoints, token: SecretStr) -> None:
        self._http, self._at, self._token = http, at, token

    async def get(self, resource: str, **query: str) -> dict[str, Any]:
        """`resource` and the values of `query` must be encoded already (`urn`, `urns`, `days`):
        LinkedIn wants the brackets of its own syntax bare and what stands in them encoded.
        """
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        answer = await call(
            self._http,
            "GET",
            f"{self._at.api}/rest/{resource}" + (f"?{pairs}" if pairs else ""),
            platform="linkedin",
            refusal=refusal,
            token=self._token,
            headers={"linkedin-version": VERSION, "x-restli-protocol-version": "2.0.0"},
        )
        document: dict[str, Any] = answer.document
        return document

    async def get_or_none(self, resource: str, **query: str) -> dict[str, Any] | None:
        """None where LinkedIn refuses for good, as it does for want of a scope or role."""
        try:
            return await self.get(resource, **query)
        except Rejected:
            return None

    async def userinfo(self) -> dict[str, Any]:
        """The OpenID claims of the member, from the one endpoint without a version."""
        answer = await call(
            self._http,
            "GET",
            f"{self._at.api}/v2/userinfo",
            platform="linkedin",
            refusal=refusal,
            token=self._token,
        )
        document: dict[str, Any] = answer.document
        return document


def urn(value: str) -> str:
    return quote(value, safe="")


def urns(values: list[str]) -> str:
    return f"List({','.join(urn(value) for value in values)})"


def days(start_ms: int, end_ms: int) -> str:
    """The `timeIntervals` of a range of whole UTC days, one element for each."""
    return f"(timeRange:(start:{start_ms},end:{end_ms}),timeGranularityType:DAY)"
