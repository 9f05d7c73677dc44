"""Waking the relay after a commit."""

from __future__ import annotations

import asyncio
import contextlib
from typing import cast

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncEngine

CHANNEL = "rookery_log"
_NOTIFY = f"NOTIFY {CHANNEL}"
_DEBOUNCE_SECONDS = 0.005


class Notifier:
    """One debounced NOTIFY per process, outside of any append.

    A NOTIFY inside the append would take a lock over the whole commit; this one is only a hint,
    and a lost one costs the relay's poll interval.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def wake(self) -> None:
        """Ask for a NOTIFY soon. Never blocks, never raises."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send())
        else:
            self._again = True

    async def close(self) -> None:
        """Let the last NOTIFY out, or give it up after a second; call it before the engine's end."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=1)
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(_DEBOUNCE_SECONDS)
            with contextlib.suppress(sa.SQLAlchemyError, OSError):
                await self._send_while_asked()
            if not self._again:
                return

    async def _send_while_asked(self) -> None:
        # One loan of the pool, and the driver itself: a loan for each NOTIFY was a tenth of all
        # that a busy process did.
        async with self._engine.connect() as connection:
            pooled = await connection.get_raw_connection()
            driver = cast("psycopg.AsyncConnection[TupleRow]", pooled.driver_connection)
            try:
                while True:
                    self._again = False
                    await driver.execute(_NOTIFY)
                    if not self._again:
                        return
                    await asyncio.sleep(_DEBOUNCE_SECONDS)
            except psycopg.Error:
                await connection.invalidate()
