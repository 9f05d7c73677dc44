"""What a platform truly said and the log cannot take (yet): kept as it came, and let go later."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.chassis.clock import Clock
from libs.chassis.errors import is_unavailable
from libs.contracts.accounts import PlatformName
from libs.eventlog.notify import Notifier
from services.ingestion.append import Item, append

log = structlog.get_logger(__name__)
QUARANTINED = Counter(
    "rookery_ingestion_quarantined_total", "Items and bodies set aside", ["platform", "reason"]
)
WAITING = Gauge(
    "rookery_ingestion_quarantine_rows", "Rows in quarantine, counted up to 100000", ["reason"]
)
RELEASED = Counter("rookery_ingestion_released_total", "Items released", ["platform"])

SWEEP_SECONDS = 2.0
_COUNT_EVERY = 30
_AT_ONCE = 500

_INSERT = """
INSERT INTO quarantine
  (id, platform, reason, platform_user_id, type, body, headers, metadata, received_at)
SELECT id, platform, reason, platform_user_id, type, body, headers::jsonb, metadata::jsonb,
  received_at
FROM unnest(%(ids)b::uuid[], %(platforms)b::text[], %(reasons)b::text[], %(users)b::text[],
    %(types)b::text[], %(bodies)b::bytea[], %(headers)b::text[], %(metadata)b::text[],
    %(times)b::timestamptz[])
  AS q (id, platform, reason, platform_user_id, type, body, headers, metadata, received_at)
ORDER BY id
ON CONFLICT (id) DO NOTHING
"""

_WAITING_FOR_ACTIVE = f"""
SELECT q.id, q.platform, q.platform_user_id, q.type, q.body, q.metadata::text, q.received_at,
  q.reason = 'account-disconnected' AND q.received_at < r.connected_at AS forgone
FROM account_routes r
JOIN quarantine q USING (platform, platform_user_id)
WHERE r.active AND q.released_at IS NULL
  AND q.reason IN ('unknown-account', 'account-disconnected')
ORDER BY q.received_at, q.id
LIMIT {_AT_ONCE}
FOR UPDATE OF q SKIP LOCKED
"""
_RELEASED = "UPDATE quarantine SET released_at = %(now)s WHERE id = ANY(%(ids)b::uuid[])"
_FORGONE = "UPDATE quarantine SET reason = 'while-disconnected' WHERE id = ANY(%(ids)b::uuid[])"
_COUNT = """
SELECT reason, count(*) AS rows
FROM (SELECT reason FROM quarantine WHERE released_at IS NULL LIMIT 100000) AS few
GROUP BY reason
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """A signed body, or one item of it (`type` is then given and `body` is its JSON).

    `id` is the same for the same content, so a platform's retries do not pile up.
    """

    id: UUID
    platform: PlatformName
    reason: str
    body: bytes
    headers: str
    metadata: str
    received_at: datetime
    platform_user_id: str | None = None
    type: str | None = None


def body_id(platform: PlatformName, body: bytes) -> UUID:
    """The quarantine's id of a whole body."""
    digest = hashlib.blake2b(platform.encode() + b"\n" + body, digest_size=16).digest()
    return UUID(bytes=digest)


def refused(item: Item, reason: str, headers: str = "{}") -> Refused:
    """An item, to be set aside under its own id."""
    return Refused(
        id=item.id,
        platform=item.platform,
        reason=reason,
        body=item.payload,
        headers=headers,
        metadata=item.metadata,
        received_at=item.received_at,
        platform_user_id=item.platform_user_id,
        type=item.type,
    )


async def set_aside(connection: AsyncConnection, rows: Sequence[Refused]) -> None:
    """Keep these. Idempotent. Takes a transaction of the worker role."""
    if not rows:
        return
    await connection.exec_driver_sql(
        _INSERT,
        {
            "ids": [row.id for row in rows],
            "platforms": [row.platform for row in rows],
            "reasons": [row.reason for row in rows],
            "users": [row.platform_user_id for row in rows],
            "types": [row.type for row in rows],
            "bodies": [row.body for row in rows],
            "headers": [row.headers for row in rows],
            "metadata": [row.metadata for row in rows],
            "times": [row.received_at for row in rows],
        },
    )
    for row in rows:
        QUARANTINED.labels(row.platform, row.reason).inc()


async def release(connection: AsyncConnection, now: datetime) -> int:
    """Append what waits for an account that is connected now; gives how many rows it dealt with.

    At most 500 a call. They keep the time they were received at. What came while the account was
    disconnected is not appended: it stays, as `while-disconnected`. Two at once take different
    rows. Takes a transaction of the worker role.
    """
    rows = (await connection.exec_driver_sql(_WAITING_FOR_ACTIVE)).all()
    forgone = [row.id for row in rows if row.forgone]
    if forgone:
        await connection.exec_driver_sql(_FORGONE, {"ids": forgone})
    items = [
        Item(
            id=row.id,
            platform=row.platform,
            platform_user_id=row.platform_user_id,
            type=row.type,
            payload=bytes(row.body),
            metadata=row.metadata,
            received_at=row.received_at,
        )
        for row in rows
        if not row.forgone
    ]
    appended = await append(connection, items)
    waiting = {item.id for item, _ in appended.unrouted}
    gone = [item for item in items if item.id not in waiting]
    if gone:
        await connection.exec_driver_sql(_RELEASED, {"now": now, "ids": [item.id for item in gone]})
    for item in gone:
        RELEASED.labels(item.platform).inc()
    return len(gone) + len(forgone)


def keep_releasing(
    engine: AsyncEngine, notifier: Notifier, clock: Clock
) -> Callable[[asyncio.Event], Coroutine[Any, Any, None]]:
    """A worker for `Service.workers` that looks every two seconds for what can be released.

    A look at the tables and not an answer to AccountConnected: a webhook that was set aside just
    before, or just after, its account became known here is found all the same. `engine` is the
    worker role's.
    """

    async def keep(stop: asyncio.Event) -> None:
        rounds = 0
        while not stop.is_set():
            try:
                async with engine.begin() as connection:
                    dealt_with = await release(connection, clock.now())
                if dealt_with:
                    notifier.wake()
                    log.info("quarantine released", rows=dealt_with)
                    continue
                if rounds % _COUNT_EVERY == 0:
                    async with engine.begin() as connection:
                        await _count(connection)
                rounds += 1
            except (sa.SQLAlchemyError, OSError) as error:
                if not is_unavailable(error):
                    raise
                log.warning("quarantine not looked at", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), SWEEP_SECONDS)

    return keep


async def _count(connection: AsyncConnection) -> None:
    WAITING.clear()
    for row in await connection.exec_driver_sql(_COUNT):
        WAITING.labels(row.reason).set(row.rows)
