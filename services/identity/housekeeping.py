"""Throws away, every hour, what has outlived its use."""

from __future__ import annotations

import asyncio
import contextlib

import structlog
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis import idempotency
from libs.chassis.clock import Clock
from services.identity import sessions, throttle

log = structlog.get_logger(__name__)
_HOUR = 3600.0


async def sweep(engine: AsyncEngine, clock: Clock) -> None:
    """Ended sessions, quiet throttles, old idempotency keys. Under the worker role; idempotent."""
    async with engine.begin() as connection:
        now = clock.now()
        await sessions.forget(connection, now)
        await throttle.forget(connection, now)
        await idempotency.forget(connection, now)


async def keep_house(engine: AsyncEngine, clock: Clock, stop: asyncio.Event) -> None:
    """Sweep at once and every hour until `stop`; a failure waits for the next hour."""
    while not stop.is_set():
        try:
            await sweep(engine, clock)
        except (sa.SQLAlchemyError, OSError) as error:
            log.warning("sweep failed", error=type(error).__name__)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _HOUR)
