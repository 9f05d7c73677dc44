"""Borrowing access tokens from accounts."""

from __future__ import annotations

from uuid import UUID

import httpx
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from libs.chassis.tokens import ServiceTokens
from libs.platforms.base import ReconnectRequired, Unavailable

log = structlog.get_logger(__name__)
_TIMEOUT = httpx.Timeout(30, connect=3)
_SLUG = "urn:rookery:problem:"


class Lease(BaseModel):
    """A token on loan; its version says which one a refusal is about."""

    access_token: SecretStr
    token_version: int


class Leases:
    """A client of accounts' internal lease. Tokens are used at once and never kept."""

    def __init__(self, http: httpx.AsyncClient, tokens: ServiceTokens, accounts_url: str) -> None:
        self._http = http
        self._tokens = tokens
        self._url = accounts_url.rstrip("/")

    async def lease(self, account_id: UUID, *, correlation_id: str) -> Lease:
        """An access token of the account, to poll with.

        Raises ReconnectRequired when accounts has none to give until the person acts, Unavailable
        when it cannot be asked.
        """
        try:
            answer = await self._post(
                f"{account_id}/lease", {"purpose": "poll"}, correlation_id=correlation_id
            )
            if answer.status_code in {404, 409}:
                raise ReconnectRequired(_reason(answer))
            answer.raise_for_status()
            return Lease.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError):
            raise Unavailable("no-lease") from None

    async def refused(
        self, account_id: UUID, lease: Lease, reason: str, *, correlation_id: str
    ) -> None:
        """Tell accounts that the platform called this token dead for good.

        Never raises: the polls have stopped in any case, and the refresher finds out in the end.
        """
        try:
            answer = await self._post(
                f"{account_id}/refusals",
                {"token_version": lease.token_version, "reason": reason},
                correlation_id=correlation_id,
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            log.warning(
                "refusal not reported", account_id=str(account_id), error=type(error).__name__
            )

    async def _post(
        self, path: str, body: dict[str, object], *, correlation_id: str
    ) -> httpx.Response:
        bearer = self._tokens.issue(caller="ingestion", callee="accounts")
        return await self._http.post(
            f"{self._url}/internal/accounts/{path}",
            json=body,
            headers={"authorization": f"Bearer {bearer}", "x-request-id": correlation_id},
            timeout=_TIMEOUT,
        )


def _reason(answer: httpx.Response) -> str:
    """The problem's slug."""
    try:
        return str(answer.json()["type"]).removeprefix(_SLUG)[:64]
    except (ValueError, KeyError, TypeError):
        return f"lease-{answer.status_code}"
