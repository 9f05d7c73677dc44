"""The table `social_accounts`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from psycopg import errors as pg
from sqlalchemy import RowMapping, text
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.accounts import (
    AccountConnected,
    AccountDisconnected,
    AccountReconnected,
    AccountReviewRequested,
    PlatformName,
)
from libs.contracts.envelope import Metadata
from libs.contracts.event import Event
from libs.eventlog import log
from libs.eventlog.log import Decider, Recorded
from services.accounts import domain
from services.accounts.domain import Account, HeldElsewhere, reason_of

# A handle can pass from one account to another; the row that is left with an old one gives way.
_FREE_HANDLE = text(
    """
    UPDATE social_accounts SET handle = left(handle, 246) || '~' || left(id::text, 8)
    WHERE workspace_id = :workspace AND platform = :platform AND handle = :handle AND id <> :id
    """
)
_INSERT = text(
    """
    INSERT INTO social_accounts (id, workspace_id, platform, handle, platform_user_id, status,
      status_reason, missing_scopes, connected_at)
    VALUES (:id, :workspace, :platform, :handle, :platform_user_id, :status, :reason, :missing, :at)
    """
)
_REGRANT = text(
    """
    UPDATE social_accounts
    SET handle = :handle, status = :status, status_reason = :reason, missing_scopes = :missing
    WHERE id = :id
    """
)
_STATUS = text(
    "UPDATE social_accounts SET status = :status, status_reason = :reason WHERE id = :id"
)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:stream, 0))")


async def project(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    """Raises HeldElsewhere; the transaction is then aborted."""
    for item in recorded:
        try:
            await _apply(connection, item.event, item.occurred_at)
        except sa.IntegrityError as error:
            if isinstance(error.orig, pg.UniqueViolation):
                raise HeldElsewhere from None
            raise


async def _apply(connection: AsyncConnection, event: Event, at: datetime) -> None:
    match event:
        case AccountConnected() | AccountReconnected():
            row = {
                "id": event.account_id,
                "workspace": event.workspace_id,
                "platform": event.platform,
                "handle": event.handle,
                "platform_user_id": event.platform_user_id,
                "status": event.status,
                "reason": reason_of(event.status),
                "missing": list(event.missing_scopes),
                "at": at,
            }
            await connection.execute(_FREE_HANDLE, row)
            await connection.execute(
                _INSERT if isinstance(event, AccountConnected) else _REGRANT, row
            )
        case AccountReviewRequested():
            status = {"status": "needs_review", "reason": event.reason}
            await connection.execute(_STATUS, {"id": event.account_id, **status})
        case AccountDisconnected():
            status = {"status": "disconnected", "reason": event.reason}
            await connection.execute(_STATUS, {"id": event.account_id, **status})


ACCOUNTS: Decider[Account | None, domain.Command] = Decider(
    initial=lambda: None, evolve=domain.evolve, decide=domain.decide, project=project
)


async def lock(connection: AsyncConnection, account_id: UUID) -> None:
    """Let no one else decide about the account until this transaction ends.

    Take it before any row of the account's tokens: everyone goes in that order.
    """
    await connection.execute(_LOCK, {"stream": domain.stream(account_id)})


async def decide(
    connection: AsyncConnection,
    account_id: UUID,
    command: domain.Command,
    *,
    workspace_id: UUID,
    metadata: Metadata,
    now: datetime,
) -> tuple[Account, list[Recorded]]:
    """Decide under the lock, so that there are no conflicts to retry, in reactors neither.

    Raises what the domain refuses.
    """
    await lock(connection, account_id)
    state, recorded = await log.decide(
        connection,
        ACCOUNTS,
        domain.stream(account_id),
        command,
        workspace_id=workspace_id,
        metadata=metadata,
        now=now,
    )
    if state is None:
        raise domain.NoSuchAccount
    return state, recorded


async def record_lease(
    connection: AsyncConnection,
    account_id: UUID,
    command: domain.NoteLease,
    *,
    workspace_id: UUID,
    metadata: Metadata,
    now: datetime,
) -> Account:
    """Decide about lending, and record it in a stream of the lease's own.

    Accounts are polled all day: in their own stream leases would soon outnumber what has to be
    folded by a thousand to one. Raises what the domain refuses.
    """
    await lock(connection, account_id)
    state, _ = await log.fold(connection, ACCOUNTS, domain.stream(account_id))
    await log.append(
        connection,
        f"lease-{uuid4()}",
        expected_version=0,
        events=domain.decide(state, command),
        workspace_id=workspace_id,
        metadata=metadata,
        now=now,
    )
    if state is None:
        raise domain.NoSuchAccount
    return state


_BY_PLATFORM_ID = text(
    """
    SELECT id FROM social_accounts WHERE workspace_id = :workspace AND platform = :platform
      AND platform_user_id = :platform_user_id
    """
)
_COLUMNS = """
    SELECT a.id, a.workspace_id, a.platform, a.handle, a.platform_user_id, a.status,
      a.status_reason, a.missing_scopes, a.connected_at, t.expires_at AS token_expires_at
    FROM social_accounts a LEFT JOIN oauth_tokens t ON t.social_account_id = a.id
"""
_ONE = text(f"{_COLUMNS} WHERE a.id = :id")
_PAGE = text(
    f"""
    {_COLUMNS} WHERE a.workspace_id = :workspace
      AND (CAST(:after_at AS timestamptz) IS NULL
           OR (a.connected_at, a.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid)))
    ORDER BY a.connected_at, a.id LIMIT :limit
    """
)
After = tuple[datetime, UUID] | tuple[None, None]
START: After = (None, None)


async def known_as(
    connection: AsyncConnection, workspace_id: UUID, platform: PlatformName, platform_user_id: str
) -> UUID | None:
    """Our id of the platform's account in that workspace, whatever its status."""
    row = {
        "workspace": workspace_id,
        "platform": platform,
        "platform_user_id": platform_user_id,
    }
    found: UUID | None = (await connection.execute(_BY_PLATFORM_ID, row)).scalar_one_or_none()
    return found


async def one(connection: AsyncConnection, account_id: UUID) -> RowMapping | None:
    """The account, if the transaction may see it."""
    return (await connection.execute(_ONE, {"id": account_id})).mappings().one_or_none()


async def page(
    connection: AsyncConnection, workspace_id: UUID, *, after: After = START, limit: int
) -> Sequence[RowMapping]:
    """The workspace's accounts in order of connection."""
    row = {"workspace": workspace_id, "after_at": after[0], "after_id": after[1], "limit": limit}
    return (await connection.execute(_PAGE, row)).mappings().all()
