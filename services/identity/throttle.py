"""Slowing down guesses: from the fifth failure on, each needs a longer wait than the one before.

An attempt is counted as a failure before the password is looked at and taken back when it was
right, so parallel requests cannot slip past the count together.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from datetime import datetime, timedelta

from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.chassis.errors import TooManyRequests

THROTTLED = Counter("rookery_identity_throttled_total", "Guesses refused unseen", ["kind"])

FREE_FAILURES = 5
FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=15)
# A quiet hour forgets all failures.
MEMORY = timedelta(hours=1)

_WAIT = (
    "least(CAST(:first AS interval) * power(2, least(t.failures, 30) - :free),"
    " CAST(:longest AS interval))"
)
_COUNT = text(
    f"""
    INSERT INTO throttles AS t (key, failures, last_attempt) VALUES (:key, 1, :now)
    ON CONFLICT (key) DO UPDATE SET last_attempt = :now,
      failures = CASE WHEN t.last_attempt <= :forgotten THEN 1 ELSE t.failures + 1 END
    WHERE t.failures < :free OR t.last_attempt + {_WAIT} <= :now
    RETURNING 1
    """
)
_UNTIL = text(f"SELECT t.last_attempt + {_WAIT} AS free_at FROM throttles t WHERE key = :key")
_CLEAR = text("DELETE FROM throttles WHERE key = :key")
_TAKE_BACK = text("UPDATE throttles SET failures = failures - 1 WHERE key = :key AND failures > 0")
_FORGET = text("DELETE FROM throttles WHERE last_attempt <= :forgotten")


class Attempt:
    """One guess: what it is counted under. `kind` keeps passwords and codes apart."""

    def __init__(self, kind: str, *, account: str, address: str | None) -> None:
        self._kind = kind
        self.account = _key(kind, "account", account)
        self.address = _key(kind, "address", _network(address)) if address else None

    async def begin(self, connection: AsyncConnection, now: datetime) -> None:
        """Count it under account and address; commit before looking at the secret.

        Raises TooManyRequests with Retry-After, and then nothing is counted.
        """
        for key in filter(None, (self.account, self.address)):
            if (await connection.execute(_COUNT, _row(key, now))).first() is None:
                free_at = (await connection.execute(_UNTIL, _row(key, now))).scalar_one()
                seconds = max(1, math.ceil((free_at - now).total_seconds()))
                THROTTLED.labels(self._kind).inc()
                raise TooManyRequests(headers={"Retry-After": str(seconds)})

    async def succeeded(self, connection: AsyncConnection) -> None:
        """The secret was right: the account starts anew, the address gets this one back.

        The address keeps its other failures, or a guesser would clear them with an own account.
        """
        await connection.execute(_CLEAR, {"key": self.account})
        if self.address is not None:
            await connection.execute(_TAKE_BACK, {"key": self.address})


def _row(key: bytes, now: datetime) -> dict[str, object]:
    return {
        "key": key,
        "now": now,
        "forgotten": now - MEMORY,
        "free": FREE_FAILURES,
        "first": FIRST_WAIT,
        "longest": LONGEST_WAIT,
    }


def _key(kind: str, what: str, value: str) -> bytes:
    return hashlib.sha256(f"{kind}\n{what}\n{value}".encode()).digest()


def _network(address: str) -> str:
    """IPv6 hands a whole /64 to one customer: count it as one address."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


async def forget(connection: AsyncConnection, now: datetime) -> None:
    """Delete counters that no longer count. For a worker; idempotent."""
    await connection.execute(_FORGET, {"forgotten": now - MEMORY})
