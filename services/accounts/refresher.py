"""Keeps tokens alive: ahead of expiry, one refresher per account across all instances."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx
import structlog
from prometheus_client import Counter
from sqlalchemy import exc as sa

from libs.chassis.clock import Clock
from libs.chassis.database import Database
from libs.contracts.accounts import PlatformName
from libs.contracts.envelope import Metadata
from libs.platforms.base import (
    Grant,
    Platform,
    PlatformError,
    RateLimited,
    ReconnectRequired,
    Rejected,
)
from services.accounts.domain import NoteRefresh, RequestReview
from services.accounts.projections.social_accounts import decide, lock
from services.accounts.schedule import expired, refresh_at, refreshable, retry_at
from services.accounts.tokens import Stored, Tokens

log = structlog.get_logger(__name__)
REFRESHES = Counter(
    "rookery_accounts_token_refreshes_total", "Token refreshes by outcome", ["platform", "outcome"]
)
_BATCH = 10
_IDLE_SECONDS = 5.0
_REJECTED_WAIT = timedelta(hours=1)
_STORE_WAITS = (0.2, 1.0, 3.0, 10.0)


class Refresher:
    """Refreshes tokens that are due, or one on demand.

    Works across tenants: `database` is under the worker role. Whoever claims an account's lease is
    its only refresher; the version of the token is compared again when the new one is stored. A
    failure that says nothing about the grant (network, 5xx, 429) is tried again later; only the
    platform's definite word, or the end of a token that cannot be refreshed, asks for a person.
    """

    def __init__(
        self,
        *,
        database: Database,
        platforms: Mapping[PlatformName, Platform],
        tokens: Tokens,
        http: httpx.AsyncClient,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._database = database
        self._platforms = platforms
        self._tokens = tokens
        self._http = http
        self._clock = clock
        self._jitter = jitter

    async def run(self, stop: asyncio.Event) -> None:
        """Refresh what is due, every five seconds, until `stop`."""
        while not stop.is_set():
            try:
                while await self.refresh_due() == _BATCH and not stop.is_set():
                    pass
            except (sa.SQLAlchemyError, OSError) as error:
                log.warning("refreshing failed", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _IDLE_SECONDS)

    async def refresh_due(self) -> int:
        """Refresh up to ten accounts whose time has come, at once; gives how many there were."""
        lease_id = uuid4()
        async with self._database.transaction() as connection:
            due = await self._tokens.claim_due(
                connection, lease_id, self._clock.now(), limit=_BATCH
            )
        # What fails in an unforeseen way keeps its lease, and comes up again when that has ended.
        results = await asyncio.gather(
            *(self._refresh(claimed, lease_id) for claimed in due), return_exceptions=True
        )
        for claimed, result in zip(due, results, strict=True):
            if isinstance(result, BaseException):
                account_id = str(claimed.account_id)
                log.error("refresh broke off", account_id=account_id, error=type(result).__name__)
        return len(due)

    async def refresh(self, seen: Stored) -> bool:
        """Refresh this token now; False when another refresher is at it, or was before us."""
        lease_id = uuid4()
        async with self._database.transaction() as connection:
            claimed = await self._tokens.claim(connection, seen, lease_id, self._clock.now())
        if claimed is None:
            return False
        await self._refresh(claimed, lease_id)
        return True

    async def _refresh(self, claimed: Stored, lease_id: UUID) -> None:
        platform = self._platforms[claimed.platform]
        now = self._clock.now()
        if not refreshable(claimed.grant, platform.facts):
            if expired(claimed.grant, now):
                REFRESHES.labels(claimed.platform, "expired").inc()
                await self._ask_for_review(claimed, lease_id, "token-expired")
            else:
                await self._release(claimed, lease_id, claimed.grant.expires_at)
            return
        try:
            grant = await platform.refresh(self._http, claimed.grant, now=now)
        except ReconnectRequired as error:
            REFRESHES.labels(claimed.platform, error.kind).inc()
            await self._ask_for_review(claimed, lease_id, error.reason)
        except PlatformError as error:
            REFRESHES.labels(claimed.platform, error.kind).inc()
            log.warning(
                "refresh failed",
                account_id=str(claimed.account_id),
                platform=claimed.platform,
                kind=type(error).__name__,
                reason=error.reason,
            )
            now = self._clock.now()
            next_try = retry_at(claimed.failures, now, self._jitter())
            if isinstance(error, RateLimited):
                next_try = max(next_try, now + error.retry_after)
            elif isinstance(error, Rejected):  # our application's fault, not the grant's
                next_try = now + _REJECTED_WAIT
            await self._release(claimed, lease_id, next_try, error.reason)
        else:
            await self._store(claimed, grant)
            REFRESHES.labels(claimed.platform, "refreshed").inc()

    async def _store(self, claimed: Stored, grant: Grant) -> None:
        """Store the new grant, persistently: where tokens rotate, the old one is dead already."""
        for wait in (*_STORE_WAITS, None):
            try:
                await self._store_once(claimed, grant)
            except (sa.OperationalError, sa.InterfaceError, sa.TimeoutError, OSError):
                if wait is None:
                    raise
                await asyncio.sleep(wait)
            else:
                return

    async def _store_once(self, claimed: Stored, grant: Grant) -> None:
        now = self._clock.now()
        facts = self._platforms[claimed.platform].facts
        async with self._database.transaction() as connection:
            await lock(connection, claimed.account_id)
            version = await self._tokens.renew(
                connection,
                claimed,
                grant,
                now=now,
                next_refresh_at=refresh_at(grant, facts, now, self._jitter()),
            )
            if version is None:  # the person connected again, or disconnected, meanwhile
                return
            await decide(
                connection,
                claimed.account_id,
                NoteRefresh(version),
                workspace_id=claimed.workspace_id,
                metadata=Metadata(),
                now=now,
            )

    async def _ask_for_review(self, claimed: Stored, lease_id: UUID, reason: str) -> None:
        async with self._database.transaction() as connection:
            await lock(connection, claimed.account_id)
            if not await self._tokens.release(
                connection, claimed, lease_id, next_refresh_at=None, error=reason[:64]
            ):
                return
            await decide(
                connection,
                claimed.account_id,
                RequestReview(reason[:64]),
                workspace_id=claimed.workspace_id,
                metadata=Metadata(),
                now=self._clock.now(),
            )

    async def _release(
        self, claimed: Stored, lease_id: UUID, next_try: datetime | None, error: str | None = None
    ) -> None:
        async with self._database.transaction() as connection:
            await self._tokens.release(
                connection,
                claimed,
                lease_id,
                next_refresh_at=next_try,
                error=error[:64] if error else None,
            )
