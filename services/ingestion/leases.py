"""Borrowing access tokens from accounts."""

from __future__ import annotations

from uuid import UUID

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from libs.chassis.tokens import ServiceTokens
from libs.platforms.base import ReconnectRequired, Unavailable

_TIMEOUT = httpx.Timeout(30, connect=3)
_SLUG = "urn:rookery:problem:"


class _Lease(BaseModel):
    access_token: SecretStr


class Leases:
    """A client of accounts' internal lease. Tokens are used at once and never kept."""

    def __init__(self, http: httpx.AsyncClient, tokens: ServiceTokens, accounts_url: str) -> None:
        self._http = http
        self._tokens = tokens
        self._url = accounts_url.rstrip("/")

    async def token(self, account_id: UUID, *, correlation_id: str) -> SecretStr:
        """An access token of the account, to poll with.

        Raises ReconnectRequired when accounts has none to give until the person acts, Unavailable
        when it cannot be asked.
        """
        bearer = self._tokens.issue(caller="ingestion", callee="accounts")
        try:
            answer = await self._http.post(
                f"{self._url}/internal/accounts/{account_id}/lease",
                json={"purpose": "poll"},
                headers={"authorization": f"Bearer {bearer}", "x-request-id": correlation_id},
                timeout=_TIMEOUT,
            )
            if answer.status_code in {404, 409}:
                raise ReconnectRequired(_reason(answer))
            answer.raise_for_status()
            return _Lease.model_validate_json(answer.content).access_token
        except (httpx.HTTPError, ValidationError):
            raise Unavailable("no-lease") from None


def _reason(answer: httpx.Response) -> str:
    """The problem's slug."""
    try:
        return str(answer.json()["type"]).removeprefix(_SLUG)[:64]
    except (ValueError, KeyError, TypeError):
        return f"lease-{answer.status_code}"
