"""The table `oauth_tokens`: grants, sealed for their row, with a version and a refresh lease."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from pydantic import SecretStr
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.accounts import PlatformName
from libs.platforms.base import Grant
from libs.vault import Unreadable, Vault, WrongRow

log = structlog.get_logger(__name__)

# Longer than a refresh can take: one request of half a minute, then storing its answer.
LEASE = timedelta(minutes=2)

_PUT = text(
    """
    INSERT INTO oauth_tokens AS t (social_account_id, workspace_id, platform, access_token_enc,
      refresh_token_enc, scopes, expires_at, refresh_expires_at, version, granted_at,
      next_refresh_at)
    VALUES (:account, :workspace, :platform, :access, :refresh, :scopes, :expires,
      :refresh_expires, :first_version, :now, :next)
    ON CONFLICT (social_account_id) DO UPDATE SET
      access_token_enc = excluded.access_token_enc, refresh_token_enc = excluded.refresh_token_enc,
      scopes = excluded.scopes, expires_at = excluded.expires_at,
      refresh_expires_at = excluded.refresh_expires_at,
      version = greatest(t.version + 1, excluded.version),
      granted_at = excluded.granted_at, refreshed_at = NULL,
      next_refresh_at = excluded.next_refresh_at, failures = 0, last_error = NULL,
      lease_id = NULL, lease_until = NULL
    """
)
_COLUMNS = """t.social_account_id, t.workspace_id, t.platform, t.access_token_enc,
  t.refresh_token_enc, t.scopes, t.expires_at, t.refresh_expires_at, t.version, t.granted_at,
  t.failures, t.next_refresh_at"""
_READ = text(f"SELECT {_COLUMNS} FROM oauth_tokens t WHERE t.social_account_id = :account")
_RENEW = text(
    """
    UPDATE oauth_tokens SET access_token_enc = :access, refresh_token_enc = :refresh,
      scopes = :scopes, expires_at = :expires, refresh_expires_at = :refresh_expires,
      version = version + 1, refreshed_at = :now, next_refresh_at = :next, failures = 0,
      last_error = NULL, lease_id = NULL, lease_until = NULL
    WHERE social_account_id = :account AND version = :version
    RETURNING version
    """
)
_WIPE = text("DELETE FROM oauth_tokens WHERE social_account_id = :account")
_CLAIM = text(
    f"""
    UPDATE oauth_tokens t SET lease_id = :lease, lease_until = :until
    WHERE t.social_account_id = :account AND t.version = :version
      AND (t.lease_until IS NULL OR t.lease_until <= :now)
    RETURNING {_COLUMNS}
    """
)
_CLAIM_DUE = text(
    f"""
    UPDATE oauth_tokens t SET lease_id = :lease, lease_until = :until
    WHERE t.id IN (
      SELECT id FROM oauth_tokens
      WHERE next_refresh_at <= :now AND (lease_until IS NULL OR lease_until <= :now)
      ORDER BY next_refresh_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING {_COLUMNS}
    """
)
_RELEASE = text(
    """
    UPDATE oauth_tokens SET lease_id = NULL, lease_until = NULL, next_refresh_at = :next,
      failures = CASE WHEN CAST(:error AS text) IS NULL THEN failures ELSE failures + 1 END,
      last_error = :error
    WHERE social_account_id = :account AND version = :version AND lease_id = :lease
    RETURNING 1
    """
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A grant as it stands in the table. `version` changes with every new token."""

    account_id: UUID
    workspace_id: UUID
    platform: PlatformName
    grant: Grant
    version: int
    granted_at: datetime
    failures: int
    next_refresh_at: datetime | None


class Tokens:
    """Keeps grants; everything that leaves this object is opened, everything inside is sealed."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def put(
        self,
        connection: AsyncConnection,
        account_id: UUID,
        *,
        workspace_id: UUID,
        platform: PlatformName,
        grant: Grant,
        now: datetime,
        next_refresh_at: datetime | None,
    ) -> None:
        """Store what a person just granted, over whatever was there.

        A lease on the old token ends: its refresher will find another version and give up.
        """
        await connection.execute(
            _PUT,
            {
                **self._sealed(grant, workspace_id, account_id),
                "platform": platform,
                # Versions never repeat, not even after the row was wiped and made anew.
                "first_version": int(now.timestamp()),
                "now": now,
                "next": next_refresh_at,
            },
        )

    async def read(self, connection: AsyncConnection, account_id: UUID) -> Stored | None:
        """The account's grant, or None."""
        row = (await connection.execute(_READ, {"account": account_id})).one_or_none()
        return None if row is None else self._stored(row)

    async def renew(
        self,
        connection: AsyncConnection,
        old: Stored,
        grant: Grant,
        *,
        now: datetime,
        next_refresh_at: datetime | None,
    ) -> int | None:
        """Put a refreshed grant in the place of `old`; gives the new version.

        None, and nothing stored, when another token took that place in the meantime. A missing
        refresh token never overwrites the old one.
        """
        if grant.refresh_token is None:
            grant = replace(grant, refresh_token=old.grant.refresh_token)
        row = {
            **self._sealed(grant, old.workspace_id, old.account_id),
            "version": old.version,
            "now": now,
            "next": next_refresh_at,
        }
        version: int | None = (await connection.execute(_RENEW, row)).scalar_one_or_none()
        return version

    async def wipe(self, connection: AsyncConnection, account_id: UUID) -> None:
        """Delete the grant. Idempotent."""
        await connection.execute(_WIPE, {"account": account_id})

    async def claim(
        self, connection: AsyncConnection, seen: Stored, lease_id: UUID, now: datetime
    ) -> Stored | None:
        """The sole right to refresh this account for two minutes.

        None while another has it, or when the token is not the one that was seen any more.
        """
        row = {
            "account": seen.account_id,
            "version": seen.version,
            "lease": lease_id,
            "now": now,
            "until": now + LEASE,
        }
        found = (await connection.execute(_CLAIM, row)).one_or_none()
        return None if found is None else self._stored(found)

    async def claim_due(
        self, connection: AsyncConnection, lease_id: UUID, now: datetime, *, limit: int
    ) -> list[Stored]:
        """The same for up to `limit` accounts whose time has come, longest overdue first.

        A row that the vault refuses is passed over until its lease has ended, and said so.
        """
        row = {"lease": lease_id, "now": now, "until": now + LEASE, "limit": limit}
        due = []
        for found in (await connection.execute(_CLAIM_DUE, row)).all():
            try:
                due.append(self._stored(found))
            except (Unreadable, WrongRow) as error:
                account_id = str(found.social_account_id)
                log.warning("unreadable grant", account_id=account_id, error=type(error).__name__)
        return due

    async def release(
        self,
        connection: AsyncConnection,
        claimed: Stored,
        lease_id: UUID,
        *,
        next_refresh_at: datetime | None,
        error: str | None = None,
    ) -> bool:
        """Give the right back; False when it was lost or the token is another one by now."""
        row = {
            "account": claimed.account_id,
            "version": claimed.version,
            "lease": lease_id,
            "next": next_refresh_at,
            "error": error,
        }
        return (await connection.execute(_RELEASE, row)).first() is not None

    def _sealed(self, grant: Grant, workspace_id: UUID, account_id: UUID) -> dict[str, object]:
        def seal(secret: SecretStr, purpose: str) -> str:
            return self._vault.seal(
                secret, workspace_id=workspace_id, account_id=account_id, purpose=purpose
            )

        return {
            "account": account_id,
            "workspace": workspace_id,
            "access": seal(grant.access_token, "access"),
            "refresh": seal(grant.refresh_token, "refresh") if grant.refresh_token else None,
            "scopes": " ".join(grant.scopes),
            "expires": grant.expires_at,
            "refresh_expires": grant.refresh_expires_at,
        }

    def _stored(self, row: Row[*tuple[object, ...]]) -> Stored:
        account_id, workspace_id = row.social_account_id, row.workspace_id

        def opened(ciphertext: str, purpose: str) -> SecretStr:
            return self._vault.open(
                ciphertext, workspace_id=workspace_id, account_id=account_id, purpose=purpose
            )

        refresh = row.refresh_token_enc
        return Stored(
            account_id=account_id,
            workspace_id=workspace_id,
            platform=row.platform,
            grant=Grant(
                access_token=opened(row.access_token_enc, "access"),
                refresh_token=opened(refresh, "refresh") if refresh else None,
                expires_at=row.expires_at,
                refresh_expires_at=row.refresh_expires_at,
                scopes=tuple(row.scopes.split()),
            ),
            version=row.version,
            granted_at=row.granted_at,
            failures=row.failures,
            next_refresh_at=row.next_refresh_at,
        )
