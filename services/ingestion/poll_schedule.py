"""Which poll is due, who is at it, and where it stopped: the table `poll_schedule`.

A row is one kind of poll of one account. A poll holds a lease, and while it does nobody else polls
that account, in whatever process. All functions take a transaction of the worker role; times are
aware.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.accounts import PlatformName
from libs.platforms.base import Platform, PollKind

LEASE = timedelta(minutes=5)

_ENSURE = """
INSERT INTO poll_schedule (account_id, kind, platform, next_at)
SELECT r.account_id, k.kind, r.platform, %(now)s
FROM account_routes r
JOIN unnest(%(platforms)b::text[], %(kinds)b::text[]) AS k (platform, kind) USING (platform)
WHERE r.active AND NOT r.alias AND NOT EXISTS (
  SELECT FROM poll_schedule s WHERE s.account_id = r.account_id AND s.kind = k.kind)
ON CONFLICT DO NOTHING
"""
# One claims at a time: whether an account is free is asked of several of its rows, and no lock on
# one row would keep another claim from asking the same of the others.
_ONE_CLAIMS = "SELECT pg_advisory_xact_lock(hashtextextended('ingestion.polls', 0))"
_CLAIM = """
WITH due AS (
  SELECT DISTINCT ON (s.account_id) s.account_id, s.kind, s.next_at, r.platform_user_id
  FROM poll_schedule s
  JOIN account_routes r ON r.account_id = s.account_id AND r.active AND NOT r.alias
  LEFT JOIN poll_pauses p ON p.platform = s.platform
  WHERE s.next_at <= %(now)s
    AND (s.stopped_at IS NULL OR s.stopped_at < r.connected_at)
    AND (p.until IS NULL OR p.until <= %(now)s)
    AND NOT EXISTS (SELECT FROM poll_schedule o
      WHERE o.account_id = s.account_id AND o.lease_until > %(now)s)
  ORDER BY s.account_id, s.next_at
), taken AS (
  SELECT *, gen_random_uuid() AS run FROM due ORDER BY next_at LIMIT %(limit)s
)
UPDATE poll_schedule s
SET lease_owner = t.run, lease_until = %(until)s, stopped_at = NULL
FROM taken t WHERE s.account_id = t.account_id AND s.kind = t.kind
RETURNING t.run, s.account_id, s.kind, s.platform, t.platform_user_id, s.cursor, s.failures
"""
_MINE = "WHERE account_id = %(account)s AND kind = %(kind)s AND lease_owner = %(run)s"
_ADVANCE = f"""
UPDATE poll_schedule SET cursor = %(cursor)s::jsonb, lease_until = %(until)s {_MINE}
"""
_END = f"""
UPDATE poll_schedule SET
  cursor = %(cursor)s::jsonb, next_at = %(next_at)s, failures = %(failures)s,
  last_error = %(error)s, last_success_at = coalesce(%(success)s, last_success_at),
  stopped_at = %(stopped)s, lease_owner = NULL, lease_until = NULL
{_MINE}
"""
_FREE = f"UPDATE poll_schedule SET lease_owner = NULL, lease_until = NULL {_MINE}"
_POSTPONE = """
UPDATE poll_schedule SET next_at = greatest(next_at, %(until)s) WHERE account_id = %(account)s
"""
_PAUSE = """
INSERT INTO poll_pauses AS p (platform, until) VALUES (%(platform)s, %(until)s)
ON CONFLICT (platform) DO UPDATE SET until = greatest(p.until, excluded.until)
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A poll that is ours to do until the lease ends. `cursor`: where an earlier one stopped."""

    run: UUID
    account_id: UUID
    kind: PollKind
    platform: PlatformName
    platform_user_id: str
    cursor: dict[str, Any] | None
    failures: int
    claimed_at: datetime


class LeaseLost(Exception):
    """The poll took too long and may be another's by now; nothing more may be written for it."""


async def ensure_scheduled(
    connection: AsyncConnection, platforms: Mapping[PlatformName, Platform], now: datetime
) -> None:
    """Give every connected account a row for each poll its platform has, due at once."""
    pairs = [(name, kind) for name, one in platforms.items() for kind in one.facts.poll_every]
    await connection.exec_driver_sql(
        _ENSURE,
        {
            "now": now,
            "platforms": [name for name, _ in pairs],
            "kinds": [kind for _, kind in pairs],
        },
    )


async def claim(connection: AsyncConnection, limit: int, now: datetime) -> Sequence[Claim]:
    """Take up to `limit` due polls, at most one of each account; longest due first."""
    await connection.exec_driver_sql(_ONE_CLAIMS)
    rows = await connection.exec_driver_sql(
        _CLAIM, {"now": now, "until": now + LEASE, "limit": limit}
    )
    return [Claim(**row, claimed_at=now) for row in rows.mappings()]


async def advance(
    connection: AsyncConnection, claimed: Claim, cursor: dict[str, Any], now: datetime
) -> None:
    """Save where to go on, and prolong the lease. Raises LeaseLost."""
    await _write(connection, _ADVANCE, claimed, cursor=_json(cursor), until=now + LEASE)


async def complete(
    connection: AsyncConnection, claimed: Claim, *, next_at: datetime, now: datetime
) -> None:
    """It is done until `next_at`. Raises LeaseLost."""
    await _end(connection, claimed, next_at=next_at, success=now)


async def interrupt(
    connection: AsyncConnection,
    *,
    claimed: Claim,
    cursor: dict[str, Any] | None,
    next_at: datetime,
    error: str | None = None,
    failures: int = 0,
    stop: bool = False,
) -> None:
    """Go on from `cursor` at `next_at`; with `stop`, not before the account is reconnected.

    Raises LeaseLost.
    """
    await _end(
        connection,
        claimed,
        cursor=_json(cursor),
        next_at=next_at,
        error=error,
        failures=failures,
        # As of the claim: a reconnection while we polled with the old token counts.
        stopped=claimed.claimed_at if stop else None,
    )


async def free(connection: AsyncConnection, claimed: Claim) -> None:
    """Give the lease back, if it is still ours, with nothing else changed."""
    await connection.exec_driver_sql(_FREE, _mine(claimed))


async def postpone_account(connection: AsyncConnection, account_id: UUID, until: datetime) -> None:
    """No poll of the account before `until`."""
    await connection.exec_driver_sql(_POSTPONE, {"account": account_id, "until": until})


async def pause_platform(
    connection: AsyncConnection, platform: PlatformName, until: datetime
) -> None:
    """No poll of any account of the platform before `until`, in any process."""
    await connection.exec_driver_sql(_PAUSE, {"platform": platform, "until": until})


async def _end(connection: AsyncConnection, claimed: Claim, **values: Any) -> None:
    defaults = dict.fromkeys(("cursor", "error", "success", "stopped")) | {"failures": 0}
    await _write(connection, _END, claimed, **{**defaults, **values})


async def _write(
    connection: AsyncConnection, statement: str, claimed: Claim, **values: Any
) -> None:
    done = await connection.exec_driver_sql(statement, {**_mine(claimed), **values})
    if done.rowcount != 1:
        raise LeaseLost


def _mine(claimed: Claim) -> dict[str, Any]:
    return {"account": claimed.account_id, "kind": claimed.kind, "run": claimed.run}


def _json(cursor: dict[str, Any] | None) -> str | None:
    return None if cursor is None else orjson.dumps(cursor).decode()
