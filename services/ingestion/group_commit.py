"""Requests that arrive together are committed together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import Histogram
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.chassis.errors import Unavailable, is_unavailable
from libs.eventlog.notify import Notifier
from services.ingestion.append import Item, append
from services.ingestion.quarantine import Refused, refused, set_aside

log = structlog.get_logger(__name__)
BATCH = Histogram(
    "rookery_ingestion_batch_rows",
    "Rows committed together",
    buckets=(1, 2, 5, 10, 50, 100, 500, 1000, 2000, 5000),
)

DEADLINE_SECONDS = 5.0
_PATIENCE_SECONDS = 4.0
_BATCH_ROWS = 2_000
_BATCH_BYTES = 8 * 1024 * 1024
_QUEUE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Delivery:
    """All that one request brought: what goes into the log, and what is set aside."""

    items: Sequence[Item]
    refused: Sequence[Refused] = ()

    @property
    def rows(self) -> int:
        return len(self.items) + len(self.refused)

    @property
    def size(self) -> int:
        """Bytes, about."""
        return sum(len(item.payload) for item in self.items) + sum(
            len(row.body) for row in self.refused
        )


@dataclass(slots=True)
class _Waiting:
    delivery: Delivery
    size: int
    done: asyncio.Future[None] = field(default_factory=asyncio.Future)

    def settle(self, error: BaseException | None = None) -> None:
        if self.done.done():  # gave up waiting
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class Appender:
    """Appends deliveries, sharing commits: a batch is whatever came while the last one committed.

    One batch is under way at a time; on two cores a second one gained nothing that showed. `engine`
    is the worker role's, because a batch spans workspaces.
    """

    def __init__(self, engine: AsyncEngine, notifier: Notifier) -> None:
        self._engine = engine
        self._notifier = notifier
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._connection: AsyncConnection | None = None

    async def submit(self, delivery: Delivery) -> None:
        """Return once the delivery is committed.

        Raises Unavailable after five seconds at the latest, when the database does not answer or
        too much is waiting; it may then have been written or not. Submitting it again is harmless.
        """
        if not delivery.rows:
            return
        size = delivery.size
        if self._bytes + size > _QUEUE_BYTES:
            raise Unavailable
        waiting = _Waiting(delivery, size)
        self._waiting.append(waiting)
        self._bytes += size
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await waiting.done
        except TimeoutError:
            raise Unavailable from None

    async def close(self) -> None:
        """Wait until nothing is under way."""
        if self._writer is not None:
            await asyncio.wait({self._writer})

    async def _write(self) -> None:
        while self._waiting:
            batch = self._take()
            if batch:
                await self._commit(batch)

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        rows = size = 0
        while self._waiting and rows < _BATCH_ROWS and size < _BATCH_BYTES:
            waiting = self._waiting.popleft()
            self._bytes -= waiting.size
            if not waiting.done.done():
                batch.append(waiting)
                rows += waiting.delivery.rows
                size += waiting.size
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        """Settle every member of the batch; never raises."""
        writing = asyncio.create_task(self._transaction([member.delivery for member in batch]))
        await asyncio.wait({writing}, timeout=_PATIENCE_SECONDS)
        if not writing.done():
            log.warning("database does not answer", rows=sum(m.delivery.rows for m in batch))
            for member in batch:
                member.settle(Unavailable())
            self._break_off(writing)
            await asyncio.wait({writing})
        error = Unavailable() if writing.cancelled() else writing.exception()
        if isinstance(error, sa.DataError | sa.IntegrityError):
            await self._commit_one_by_one(batch, error)
            return
        if error is None:
            self._notifier.wake()
        elif not is_unavailable(error):
            log.error("append failed", error=type(error).__name__)
        for member in batch:
            member.settle(Unavailable() if error and is_unavailable(error) else error)

    async def _commit_one_by_one(self, batch: list[_Waiting], error: sa.DBAPIError) -> None:
        """One of the batch holds what the database refuses: it must not take the others along."""
        if len(batch) > 1:
            for member in batch:
                await self._commit([member])
            return
        [member] = batch
        if not member.delivery.items:
            log.error("quarantine refused a body", error=type(error.orig).__name__)
            member.settle(error)
            return
        aside = [refused(item, "not-storable") for item in member.delivery.items]
        member.delivery = Delivery((), [*member.delivery.refused, *aside])
        await self._commit([member])

    async def _transaction(self, deliveries: list[Delivery]) -> None:
        items = [item for delivery in deliveries for item in delivery.items]
        rows = [row for delivery in deliveries for row in delivery.refused]
        try:
            await self._attempt(items, rows)
        except sa.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            # A connection from before a restart of the server. Ids make the repeat harmless.
            await self._attempt(items, rows)
        BATCH.observe(len(items) + len(rows))

    async def _attempt(self, items: list[Item], rows: list[Refused]) -> None:
        async with self._engine.connect() as connection:
            self._connection = connection
            try:
                async with connection.begin():
                    appended = await append(connection, items)
                    unrouted = [refused(item, reason) for item, reason in appended.unrouted]
                    await set_aside(connection, [*rows, *unrouted])
            finally:
                self._connection = None

    def _break_off(self, writing: asyncio.Task[None]) -> None:
        """Make a statement end whose server is stopped, which would answer no cancellation."""
        connection = self._connection
        if connection is None or connection.sync_connection is None:
            writing.cancel()
            return
        driver = connection.sync_connection.connection.driver_connection
        if driver is None:
            writing.cancel()
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(driver.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
