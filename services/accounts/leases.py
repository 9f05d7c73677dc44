"""Lending access tokens to other services."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import SecretStr

from libs.chassis.clock import Clock
from libs.chassis.database import Database
from libs.chassis.errors import Unavailable
from libs.contracts.accounts import PlatformName
from libs.contracts.envelope import Metadata
from services.accounts.domain import NoSuchAccount, NoteLease, RequestReview
from services.accounts.projections.social_accounts import decide, lock, one, record_lease
from services.accounts.refresher import Refresher
from services.accounts.schedule import expired, lendable
from services.accounts.tokens import Stored, Tokens

_PATIENCE_SECONDS = 15.0
_LOOK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Lease:
    """An access token on loan. Use it at once; never keep it past `expires_at`."""

    access_token: SecretStr
    expires_at: datetime | None
    platform: PlatformName
    platform_user_id: str
    token_version: int


class Leases:
    """Lends tokens of active accounts; `database` is under the worker role."""

    def __init__(
        self, *, database: Database, tokens: Tokens, refresher: Refresher, clock: Clock
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._refresher = refresher
        self._clock = clock

    async def lend(
        self, account_id: UUID, *, leased_by: str, purpose: str, metadata: Metadata
    ) -> Lease:
        """A token with at least five minutes to live where one can be had.

        Refreshes first when need be, or waits for whoever does, up to 15 s. Every loan is a
        TokenLeased event, committed before the token is given out. Raises NoSuchAccount,
        NeedsReview, Disconnected, or Unavailable when the token is dead and cannot be refreshed
        just now.
        """
        workspace_id = await self._freshen(account_id)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            account = await record_lease(
                connection,
                account_id,
                NoteLease(leased_by, purpose),
                workspace_id=workspace_id,
                metadata=metadata,
                now=now,
            )
            stored = await self._tokens.read(connection, account_id)
            if stored is None or expired(stored.grant, now):
                raise Unavailable("The token cannot be refreshed just now; try again shortly")
        return Lease(
            access_token=stored.grant.access_token,
            expires_at=stored.grant.expires_at,
            platform=account.platform,
            platform_user_id=account.platform_user_id,
            token_version=stored.version,
        )

    async def refused(self, account_id: UUID, *, token_version: int, reason: str) -> None:
        """Another service was told by the platform that a lent token is dead for good.

        The account then needs review, unless the token was renewed since. For some platforms this
        is the only way to learn of it. Idempotent. Raises NoSuchAccount.
        """
        async with self._database.transaction() as connection:
            await lock(connection, account_id)
            account = await one(connection, account_id)
            stored = await self._tokens.read(connection, account_id)
            if account is None:
                raise NoSuchAccount
            if account["status"] != "active" or stored is None or stored.version != token_version:
                return
            await decide(
                connection,
                account_id,
                RequestReview(reason),
                workspace_id=account["workspace_id"],
                metadata=Metadata(),
                now=self._clock.now(),
            )

    async def _freshen(self, account_id: UUID) -> UUID:
        """Have a token that is about to expire refreshed, once, by us or another.

        Gives the account's workspace.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            async with self._database.transaction() as connection:
                account = await one(connection, account_id)
                stored = await self._tokens.read(connection, account_id)
            if account is None:
                raise NoSuchAccount
            workspace_id: UUID = account["workspace_id"]
            if account["status"] != "active" or stored is None or self._settled(stored):
                return workspace_id
            if await self._refresher.refresh(stored) or time.monotonic() > deadline:
                return workspace_id
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def _settled(self, stored: Stored) -> bool:
        """Whether asking the platform now would be needless, or too soon after it failed."""
        now = self._clock.now()
        waiting = (
            stored.failures > 0
            and stored.next_refresh_at is not None
            and stored.next_refresh_at > now
        )
        return lendable(stored.grant, now) or waiting
