"""Polls what webhooks do not tell: account metrics, post metrics and audience."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.clock import Clock
from libs.chassis.errors import is_unavailable
from libs.contracts.accounts import PlatformName
from libs.contracts.envelope import Metadata
from libs.eventlog.notify import Notifier
from libs.platforms.base import (
    Platform,
    PlatformError,
    PollPage,
    RateLimited,
    ReconnectRequired,
    Rejected,
    slot,
)
from services.ingestion import poll_schedule as schedule
from services.ingestion.leases import Lease, Leases
from services.ingestion.observations import append_observations
from services.ingestion.poll_schedule import Claim, LeaseLost

log = structlog.get_logger(__name__)
POLLS = Counter(
    "rookery_ingestion_polls_total", "Polls by how they ended", ["platform", "kind", "outcome"]
)
POLLING = Gauge("rookery_ingestion_polls_running", "Polls under way in this process")

IDLE_SECONDS = 2.0
_ENSURE_EVERY = timedelta(seconds=5)
_FIRST_RETRY = timedelta(seconds=15)
_WIDEST_SPREAD = timedelta(minutes=10)
# Their limits are the application's, so one account that meets the limit speaks for all
# (platforms.md 2.6 and 3.6); the others count each account on its own.
_LIMITED_AS_A_WHOLE: frozenset[PlatformName] = frozenset({"tiktok", "linkedin"})


class Poller:
    """Does the polls that are due, a few at a time. Any number may run in any number of processes.

    Each page is appended together with the place to go on from, so a kill costs one page.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        platforms: Mapping[PlatformName, Platform],
        leases: Leases,
        http: httpx.AsyncClient,
        notifier: Notifier,
        clock: Clock,
        at_once: int,
    ) -> None:
        self._engine = engine
        self._platforms = platforms
        self._leases = leases
        self._http = http
        self._notifier = notifier
        self._clock = clock
        self._at_once = at_once
        self._running: dict[asyncio.Task[None], Claim] = {}
        self._ensured_at: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop`; then give up what is under way and free it for others."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                try:
                    await self.start_due()
                except (sa.SQLAlchemyError, OSError) as error:
                    if not is_unavailable(error):
                        raise
                    log.warning("polls not looked for", error=type(error).__name__)
                await asyncio.wait(
                    {stopping, *self._running},
                    timeout=IDLE_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            stopping.cancel()
            await self.stop()

    async def start_due(self) -> int:
        """Claim and start what is due and there is room for; gives how many."""
        now = self._clock.now()
        room = self._at_once - len(self._running)
        if room <= 0:
            return 0
        async with self._engine.begin() as connection:
            if self._ensured_at is None or now - self._ensured_at >= _ENSURE_EVERY:
                await schedule.ensure_scheduled(connection, self._platforms, now)
                self._ensured_at = now
            claims = await schedule.claim(connection, room, now)
        for claimed in claims:
            task = asyncio.create_task(self._poll(claimed))
            self._running[task] = claimed
            task.add_done_callback(self._forget)
        POLLING.set(len(self._running))
        return len(claims)

    async def finish(self) -> None:
        """Wait for the polls under way."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def stop(self) -> None:
        """Give up the polls under way and free their accounts."""
        given_up = dict(self._running)
        for task in given_up:
            task.cancel()
        if given_up:
            await asyncio.wait(set(given_up))
        with contextlib.suppress(sa.SQLAlchemyError, OSError):
            async with self._engine.begin() as connection:
                for claimed in given_up.values():
                    await schedule.free(connection, claimed)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        POLLING.set(len(self._running))

    async def _poll(self, claimed: Claim) -> None:
        outcome = "broken"
        try:
            outcome = await self._pages(claimed)
        except LeaseLost:
            outcome = "lease-lost"
        except (sa.SQLAlchemyError, OSError) as error:
            # The lease ends by itself.
            outcome = "not-stored"
            log.warning("poll not stored", error=type(error).__name__, **_about(claimed))
        except Exception:
            # Our mistake, or a platform's new ways. Tried again when the lease ends.
            log.exception("poll broke", **_about(claimed))
        finally:
            POLLS.labels(claimed.platform, claimed.kind, outcome).inc()

    async def _pages(self, claimed: Claim) -> str:
        """Page after page until the end or an obstacle; gives which it was."""
        cursor = claimed.cursor
        lease: Lease | None = None
        try:
            lease = await self._leases.lease(claimed.account_id, correlation_id=claimed.run.hex)
            while True:
                page = await self._platforms[claimed.platform].poll(
                    self._http,
                    kind=claimed.kind,
                    access_token=lease.access_token,
                    platform_user_id=claimed.platform_user_id,
                    cursor=cursor,
                    now=self._clock.now(),
                )
                cursor = page.cursor
                if await self._store(claimed, page):
                    return "complete" if cursor is None else "paced"
        except PlatformError as error:
            outcome = await self._give_way(claimed, cursor, error)
            if lease is not None and isinstance(error, ReconnectRequired):
                await self._leases.refused(
                    claimed.account_id, lease, error.reason, correlation_id=claimed.run.hex
                )
            return outcome

    async def _give_way(
        self, claimed: Claim, cursor: dict[str, Any] | None, error: PlatformError
    ) -> str:
        """Keep what is done and come back when the error allows; gives the kind of error."""
        now = self._clock.now()
        failures = claimed.failures + 1
        keep = partial(schedule.interrupt, claimed=claimed, error=error.reason, failures=failures)
        async with self._engine.begin() as connection:
            match error:
                case RateLimited():
                    until = now + error.retry_after + _share_of(error.retry_after / 10, claimed)
                    await keep(connection, cursor=cursor, next_at=until)
                    await schedule.postpone_account(connection, claimed.account_id, until)
                    if claimed.platform in _LIMITED_AS_A_WHOLE:
                        await schedule.pause_platform(connection, claimed.platform, until)
                    return "rate-limited"
                case ReconnectRequired():
                    log.warning("polling stops", reason=error.reason, **_about(claimed))
                    await keep(connection, cursor=cursor, next_at=now, stop=True)
                    return "reconnect-required"
                case Rejected():
                    log.error("poll refused", reason=error.reason, **_about(claimed))
                    next_at = self._next_round(claimed, now)
                    await keep(connection, cursor=None, next_at=next_at)
                    return "rejected"
                case _:
                    wait = min(_FIRST_RETRY * 2 ** min(failures, 12), self._every(claimed))
                    next_at = now + wait + _share_of(wait / 4, claimed)
                    await keep(connection, cursor=cursor, next_at=next_at)
                    return "unavailable"

    async def _store(self, claimed: Claim, page: PollPage) -> bool:
        """Append a page and save the place to go on from; whether the poll ends here for now."""
        now = self._clock.now()
        async with self._engine.begin() as connection:
            if page.cursor is None:
                await schedule.complete(
                    connection, claimed, next_at=self._next_round(claimed, now), now=now
                )
            elif page.not_before is not None:
                await schedule.interrupt(
                    connection, claimed=claimed, cursor=page.cursor, next_at=page.not_before
                )
            else:
                await schedule.advance(connection, claimed, page.cursor, now)
            if page.not_before is not None:
                await schedule.postpone_account(connection, claimed.account_id, page.not_before)
            await append_observations(
                connection,
                [(observation, now) for observation in page.observations],
                account_id=claimed.account_id,
                platform=claimed.platform,
                platform_user_id=claimed.platform_user_id,
                metadata=Metadata(correlation_id=claimed.run.hex),
            )
        self._notifier.wake()
        return page.cursor is None or page.not_before is not None

    def _every(self, claimed: Claim) -> timedelta:
        return self._platforms[claimed.platform].facts.poll_every[claimed.kind]

    def _next_round(self, claimed: Claim, now: datetime) -> datetime:
        """Early in the next slot, each account at a moment of its own."""
        every = self._every(claimed)
        begins = datetime.fromisoformat(slot(now, every)) + every
        return begins + _share_of(min(every / 10, _WIDEST_SPREAD), claimed)


def _share_of(span: timedelta, claimed: Claim) -> timedelta:
    """A part of the span that is the same for the same poll, and spread evenly over all."""
    digest = hashlib.blake2b(claimed.account_id.bytes + claimed.kind.encode(), digest_size=4)
    return span * (int.from_bytes(digest.digest(), "big") / 2**32)


def _about(claimed: Claim) -> dict[str, str]:
    return {
        "account_id": str(claimed.account_id),
        "platform": claimed.platform,
        "kind": claimed.kind,
    }
