"""Sessions: families of refresh tokens, each token good once. State, not events."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

GRACE = timedelta(seconds=10)
_SECRET_BYTES = 32

_START = text(
    "INSERT INTO sessions (id, user_id, created_at, expires_at, last_used_at, ip, user_agent)"
    " VALUES (:id, :user, :now, :expires, :now, CAST(:ip AS inet), :user_agent)"
)
_ISSUE = text(
    "INSERT INTO refresh_tokens (token_hash, session_id, user_id, issued_at)"
    " VALUES (:hash, :session, :user, :now) ON CONFLICT DO NOTHING"
)
# The lock on the session makes rotations of one family follow each other.
_FIND = text(
    "SELECT s.id, s.user_id, s.expires_at, s.revoked_at, t.used_at"
    " FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id"
    " WHERE t.token_hash = :hash FOR UPDATE OF s, t"
)
_USE = text("UPDATE refresh_tokens SET used_at = :now WHERE token_hash = :hash")
_TOUCH = text("UPDATE sessions SET last_used_at = :now WHERE id = :session")
_REVOKE = text(
    "UPDATE sessions SET revoked_at = :now, revoked_reason = :reason"
    " WHERE id = :session AND revoked_at IS NULL"
)
_FORGET = text("DELETE FROM sessions WHERE expires_at < :before")


@dataclass(frozen=True, slots=True)
class Session:
    """A session and the refresh token to give out now."""

    id: UUID
    user_id: UUID
    refresh_token: SecretStr


class Sessions:
    """Starts, carries on and ends sessions.

    A refresh token is the person's id and 32 secret bytes; the table holds its SHA-256. The
    successor of a token is computed from it with a key of the settings, so that a repeat within
    ten seconds (a lost reply) gets the same successor and nothing readable has to be kept.
    """

    def __init__(self, pepper: SecretStr, *, life: timedelta) -> None:
        self._key = hmac.digest(
            pepper.get_secret_value().encode(), b"refresh token successors", hashlib.sha256
        )
        self._life = life

    async def start(
        self,
        connection: AsyncConnection,
        user_id: UUID,
        *,
        now: datetime,
        ip: str | None,
        user_agent: str | None,
    ) -> Session:
        """A new family; it ends 30 days from `now`, however often it is refreshed."""
        session_id, secret = uuid4(), os.urandom(_SECRET_BYTES)
        await connection.execute(
            _START,
            {
                "id": session_id,
                "user": user_id,
                "now": now,
                "expires": now + self._life,
                "ip": ip,
                "user_agent": user_agent,
            },
        )
        return await self._issue(connection, session_id, user_id, secret, now)

    async def rotate(
        self, connection: AsyncConnection, token: SecretStr, *, now: datetime
    ) -> Session | None:
        """The successor of `token`, which is used up by this; None when it is good for nothing.

        A used token that comes back after ten seconds is in the wrong hands, or its successor is:
        the whole family is revoked. The caller commits in either case. The transaction's person
        must be `owner_of(token)`.
        """
        secret = _secret(token)
        row = (await connection.execute(_FIND, {"hash": _hash(secret)})).one_or_none()
        if row is None or row.revoked_at is not None or row.expires_at <= now:
            return None
        if row.used_at is not None and now - row.used_at > GRACE:
            await connection.execute(
                _REVOKE, {"session": row.id, "now": now, "reason": "token-reused"}
            )
            return None
        if row.used_at is None:
            await connection.execute(_USE, {"hash": _hash(secret), "now": now})
            await connection.execute(_TOUCH, {"session": row.id, "now": now})
        successor = hmac.digest(self._key, secret, hashlib.sha256)
        return await self._issue(connection, row.id, row.user_id, successor, now)

    async def end(self, connection: AsyncConnection, token: SecretStr, *, now: datetime) -> None:
        """Revoke the token's family. Idempotent; an unknown token changes nothing."""
        row = (await connection.execute(_FIND, {"hash": _hash(_secret(token))})).one_or_none()
        if row is not None:
            await connection.execute(
                _REVOKE, {"session": row.id, "now": now, "reason": "logged-out"}
            )

    async def _issue(
        self,
        connection: AsyncConnection,
        session_id: UUID,
        user_id: UUID,
        secret: bytes,
        now: datetime,
    ) -> Session:
        await connection.execute(
            _ISSUE, {"hash": _hash(secret), "session": session_id, "user": user_id, "now": now}
        )
        token = base64.urlsafe_b64encode(user_id.bytes + secret).decode()
        return Session(session_id, user_id, SecretStr(token))


def owner_of(token: SecretStr) -> UUID | None:
    """Whose session the token claims to belong to; None when it is no refresh token at all."""
    try:
        raw = base64.b64decode(token.get_secret_value(), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return UUID(bytes=raw[:16]) if len(raw) == 16 + _SECRET_BYTES else None


def _secret(token: SecretStr) -> bytes:
    return base64.urlsafe_b64decode(token.get_secret_value())[16:]


def _hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


async def forget(connection: AsyncConnection, now: datetime) -> None:
    """Delete sessions, with their tokens, a day after their end. For a worker; idempotent."""
    await connection.execute(_FORGET, {"before": now - timedelta(days=1)})
