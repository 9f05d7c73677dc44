"""OAuth flows under way: a state is bound to person, workspace and platform, and good once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.accounts import PlatformName
from libs.vault import Vault

LIFE = timedelta(minutes=10)
_SECRET_BYTES = 32
_PURPOSE = "code-verifier"

_INSERT = text(
    """
    INSERT INTO oauth_states (id, state_hash, workspace_id, user_id, platform, code_verifier_enc,
      return_url, created_at, expires_at)
    VALUES (:id, :hash, :workspace, :user, :platform, :verifier, :return_url, :now, :expires)
    """
)
_CONSUME = text(
    """
    DELETE FROM oauth_states WHERE state_hash = :hash AND platform = :platform
    RETURNING id, workspace_id, user_id, code_verifier_enc, return_url, expires_at
    """
)
_FORGET = text("DELETE FROM oauth_states WHERE expires_at < :now")


@dataclass(frozen=True, slots=True)
class Flow:
    """Who began a flow, where, and what is needed to end it."""

    workspace_id: UUID
    user_id: UUID
    code_verifier: SecretStr | None
    return_url: str | None


class States:
    """Issues and takes back states. The table holds their hashes, and PKCE verifiers sealed."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def issue(
        self, connection: AsyncConnection, flow: Flow, platform: PlatformName, now: datetime
    ) -> str:
        """A state for the authorize URL, good for ten minutes."""
        state_id = uuid4()
        state = base64.urlsafe_b64encode(
            flow.workspace_id.bytes + os.urandom(_SECRET_BYTES)
        ).decode()
        sealed = None
        if flow.code_verifier is not None:
            sealed = self._vault.seal(
                flow.code_verifier,
                workspace_id=flow.workspace_id,
                account_id=state_id,
                purpose=_PURPOSE,
            )
        await connection.execute(
            _INSERT,
            {
                "id": state_id,
                "hash": _hash(state),
                "workspace": flow.workspace_id,
                "user": flow.user_id,
                "platform": platform,
                "verifier": sealed,
                "return_url": flow.return_url,
                "now": now,
                "expires": now + LIFE,
            },
        )
        return state

    async def consume(
        self, connection: AsyncConnection, state: str, platform: PlatformName, now: datetime
    ) -> Flow | None:
        """The flow of a state, which is used up by this; None when it is good for nothing.

        The transaction's workspace must be `workspace_of(state)`; commit it whatever comes next.
        """
        row = (
            await connection.execute(_CONSUME, {"hash": _hash(state), "platform": platform})
        ).one_or_none()
        if row is None or row.expires_at <= now:
            return None
        verifier = None
        if row.code_verifier_enc is not None:
            verifier = self._vault.open(
                row.code_verifier_enc,
                workspace_id=row.workspace_id,
                account_id=row.id,
                purpose=_PURPOSE,
            )
        return Flow(row.workspace_id, row.user_id, verifier, row.return_url)


def workspace_of(state: str) -> UUID | None:
    """Which workspace the state claims to belong to; None when it is no state at all."""
    try:
        raw = base64.b64decode(state, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return UUID(bytes=raw[:16]) if len(raw) == 16 + _SECRET_BYTES else None


def _hash(state: str) -> bytes:
    return hashlib.sha256(state.encode()).digest()


async def forget(connection: AsyncConnection, now: datetime) -> None:
    """Delete states that were never used. For a worker; idempotent."""
    await connection.execute(_FORGET, {"now": now})
