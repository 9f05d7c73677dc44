"""Waking the relay after a commit."""

from __future__ import annotations

import asyncio
from typing import cast

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

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
        self._kept: AsyncConnection | None = None

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
        await self._drop()

    async def _send(self) -> None:
        while True:
            self._again = False
            await asyncio.sleep(_DEBOUNCE_SECONDS)
            try:
                await self._notify()
            except (sa.SQLAlchemyError, psycopg.Error, OSError):
                await self._drop()
            if not self._again:
                return

    async def _notify(self) -> None:
        # On the driver, over a connection kept for it: a loan of the pool for each NOTIFY was a
        # tenth of all that a busy process did.
        if self._kept is None:
            self._kept = await self._engine.connect()
        pooled = await self._kept.get_raw_connection()
        await cast("psycopg.AsyncConnection[TupleRow]", pooled.driver_connection).execute(_NOTIFY)

    async def _drop(self) -> None:
        """Give the connection back, as one that nobody should have again."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            await kept.invalidate()
            await kept.close()
