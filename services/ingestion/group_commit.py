"""Requests that arrive together are committed together."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import psycopg
import structlog
from opentelemetry.trace import Span
from prometheus_client import Gauge, Histogram
from psycopg import errors as pg
from psycopg.rows import TupleRow
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.errors import Unavailable, is_unavailable
from libs.eventlog.notify import Notifier
from services.ingestion import tracing
from services.ingestion.append import Appended, Item, append_at_once
from services.ingestion.quarantine import Refused, refused, set_aside

log = structlog.get_logger(__name__)
BATCH = Histogram(
    "rookery_ingestion_batch_rows",
    "Rows committed together",
    buckets=(1, 2, 5, 10, 50, 100, 500, 1000, 2000, 5000),
)
WAIT = Histogram(
    "rookery_ingestion_append_wait_seconds",
    "How long the first delivery of each batch waited for it",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
COMMIT = Histogram(
    "rookery_ingestion_commit_duration_seconds",
    "A batch's transaction, commit included",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
QUEUE = Gauge("rookery_ingestion_append_queue_deliveries", "Deliveries that wait for a commit")
QUEUE_BYTES = Gauge("rookery_ingestion_append_queue_bytes", "Their bytes, about")

Driver = psycopg.AsyncConnection[TupleRow]
Connect = Callable[[], Awaitable[Driver]]
_REFUSALS = (pg.DataError, pg.IntegrityError, sa.DataError, sa.IntegrityError)

DEADLINE_SECONDS = 5.0
_PATIENCE_SECONDS = 4.0
_BATCH_ROWS = 2_000
_BATCH_BYTES = 8 * 1024 * 1024
_QUEUE_BYTES = 64 * 1024 * 1024
_LANES = 2


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
        size = 0
        for item in self.items:
            size += len(item.payload)
        for row in self.refused:
            size += len(row.body)
        return size


@dataclass(slots=True, eq=False)
class _Waiting:
    delivery: Delivery
    size: int
    done: asyncio.Future[None]
    since: float
    span: Span | None

    def settle(self, error: BaseException | None = None) -> None:
        if self.done.done():  # gave up waiting
            return
        tracing.end(self.span, error)
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)

    def give_up(self) -> None:
        self.settle(Unavailable())


class _Lane:
    """A connection of its own, and what is done over it: one batch at a time."""

    def __init__(self, engine: AsyncEngine, connect: Connect) -> None:
        self._engine = engine
        self._connect = connect
        self._own: Driver | None = None
        self._connection: Driver | None = None  # in a statement

    async def close(self) -> None:
        if self._own is not None:
            await self._own.close()

    async def store(self, deliveries: list[Delivery]) -> None:
        """Items in one commit, then in another what has to be set aside.

        Who dies between the two has not answered, so all of it comes again.
        """
        items = [item for delivery in deliveries for item in delivery.items]
        rows = [row for delivery in deliveries for row in delivery.refused]
        appended = await self._append(items) if items else Appended(0, 0, [])
        aside = [refused(item, reason) for item, reason in appended.unrouted]
        if rows or aside:
            await self._set_aside([*rows, *aside])
        BATCH.observe(len(items) + len(rows))

    async def _append(self, items: list[Item]) -> Appended:
        used_before = self._own
        try:
            return await self._append_once(items)
        except pg.OperationalError:
            if used_before is None or not used_before.closed:
                raise
            # A connection from before a restart of the server. Ids make the repeat harmless.
            return await self._append_once(items)

    async def _append_once(self, items: list[Item]) -> Appended:
        if self._own is None or self._own.closed:
            self._own = await self._connect()
        with self._breakable(self._own):
            return await append_at_once(self._own, items)

    async def _set_aside(self, rows: list[Refused]) -> None:
        try:
            await self._set_aside_once(rows)
        except sa.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            await self._set_aside_once(rows)

    async def _set_aside_once(self, rows: list[Refused]) -> None:
        async with self._engine.begin() as connection:
            pooled = await connection.get_raw_connection()
            with self._breakable(cast("Driver", pooled.driver_connection)):
                await set_aside(connection, rows)

    @contextmanager
    def _breakable(self, connection: Driver) -> Iterator[None]:
        self._connection = connection
        try:
            yield
        finally:
            self._connection = None

    def break_off(self, writing: asyncio.Task[None]) -> None:
        """Make a statement end whose server is stopped, which would answer no cancellation."""
        if self._connection is None:
            writing.cancel()
            return
        with (
            contextlib.suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as line,
        ):
            line.shutdown(socket.SHUT_RDWR)


class Appender:
    """Appends deliveries, sharing commits: a batch is whatever came while the last one committed.

    Two batches may be under way, so that PostgreSQL has work while the answers to one go out and
    the requests of the next come in (ten changes a body: 32k events/s with one, 45k with two). Each
    has a connection, which `connect` opens: in autocommit and as the worker role, because a batch
    spans workspaces. `engine` (the same role) is for what has to be set aside.
    """

    def __init__(self, engine: AsyncEngine, notifier: Notifier, connect: Connect) -> None:
        self._notifier = notifier
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._lanes = [_Lane(engine, connect) for _ in range(_LANES)]
        self._idle = [*self._lanes]
        self._writing: set[asyncio.Task[None]] = set()
        # Not that of the request which happens to come first: its ids are not the batch's.
        self._context = contextvars.copy_context()
        QUEUE.set_function(lambda: len(self._waiting))
        QUEUE_BYTES.set_function(lambda: self._bytes)

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
        loop = asyncio.get_running_loop()
        span = tracing.begin_append(delivery.rows)
        waiting = _Waiting(delivery, size, loop.create_future(), time.perf_counter(), span)
        self._waiting.append(waiting)
        self._bytes += size
        if self._idle:
            lane = self._idle.pop()
            writing = loop.create_task(self._write(lane), context=self._context)
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)
        deadline = loop.call_later(DEADLINE_SECONDS, waiting.give_up)
        try:
            await waiting.done
        finally:
            deadline.cancel()

    async def close(self) -> None:
        """Wait until nothing is under way, and close the connections."""
        while self._writing:
            await asyncio.wait(self._writing)
        for lane in self._lanes:
            await lane.close()

    async def _write(self, lane: _Lane) -> None:
        try:
            while self._waiting:
                batch = self._take()
                if batch:
                    WAIT.observe(time.perf_counter() - batch[0].since)
                    await self._commit(lane, batch)
        finally:
            self._idle.append(lane)

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

    async def _commit(self, lane: _Lane, batch: list[_Waiting]) -> None:
        """Settle every member of the batch; never raises."""
        began = time.perf_counter()
        span = tracing.begin_commit(member.span for member in batch)
        writing = asyncio.create_task(lane.store([member.delivery for member in batch]))
        await asyncio.wait({writing}, timeout=_PATIENCE_SECONDS)
        if not writing.done():
            log.warning("database does not answer", rows=sum(m.delivery.rows for m in batch))
            for member in batch:
                member.settle(Unavailable())
            lane.break_off(writing)
            await asyncio.wait({writing})
        error = Unavailable() if writing.cancelled() else writing.exception()
        COMMIT.observe(time.perf_counter() - began)
        tracing.end(span, error)
        if isinstance(error, _REFUSALS):
            await self._commit_one_by_one(lane, batch, error)
            return
        if error is None:
            self._notifier.wake()
        elif not is_unavailable(error):
            log.error("append failed", error=type(error).__name__)
        for member in batch:
            member.settle(Unavailable() if error and is_unavailable(error) else error)

    async def _commit_one_by_one(
        self, lane: _Lane, batch: list[_Waiting], error: BaseException
    ) -> None:
        """One of the batch holds what the database refuses: it must not take the others along."""
        if len(batch) > 1:
            for member in batch:
                await self._commit(lane, [member])
            return
        [member] = batch
        if not member.delivery.items:
            log.error("quarantine refused a body", error=type(error).__name__)
            member.settle(error)
            return
        aside = [refused(item, "not-storable") for item in member.delivery.items]
        member.delivery = Delivery((), [*member.delivery.refused, *aside])
        await self._commit(lane, [member])
