"""Throws away, every hour, OAuth states that nobody came back with."""

from __future__ import annotations

import asyncio
import contextlib

import structlog
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.clock import Clock
from services.accounts import states

log = structlog.get_logger(__name__)
_HOUR = 3600.0


async def keep_house(engine: AsyncEngine, clock: Clock, stop: asyncio.Event) -> None:
    """Sweep at once and every hour until `stop`; a failure waits for the next hour."""
    while not stop.is_set():
        try:
            async with engine.begin() as connection:
                await states.forget(connection, clock.now())
        except (sa.SQLAlchemyError, OSError) as error:
            log.warning("sweep failed", error=type(error).__name__)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _HOUR)
