"""Our copy of the connected accounts: whose a row is, and what to call the account."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.accounts import (
    AccountConnected,
    AccountDisconnected,
    AccountReconnected,
    AccountReviewRequested,
)
from libs.contracts.event import Event
from libs.projections.arrays import texts, uuids
from libs.projections.reader import Poisoned, Reader, Received, projection

FORGED = "forged tenant"
_AccountEvent = AccountConnected | AccountReconnected | AccountReviewRequested | AccountDisconnected


@dataclass(frozen=True, slots=True)
class Account:
    """A row of `accounts`."""

    id: UUID
    workspace_id: UUID
    platform: str
    handle: str
    status: str


_KNOWN = """
SELECT id, workspace_id, platform, handle, status FROM accounts
WHERE id = ANY(%(ids)b::uuid[])
"""
_UPSERT = """
INSERT INTO accounts (id, workspace_id, platform, handle, status)
SELECT * FROM unnest(%(ids)b::uuid[], %(workspaces)b::uuid[], %(platforms)b::text[],
                     %(handles)b::text[], %(statuses)b::text[])
ON CONFLICT (id) DO UPDATE SET handle = excluded.handle, status = excluded.status
"""
_ONE = text("SELECT id, workspace_id, platform, handle, status FROM accounts WHERE id = :id")
_ALL = text(
    "SELECT id, workspace_id, platform, handle, status FROM accounts ORDER BY platform, handle, id"
)


async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """The last word on each account wins; an account never changes its workspace.

    Raises Poisoned for events that say it did.
    """
    items = [(item.envelope, item.event) for item in batch]
    accounts = await known(
        connection, {event.account_id for _, event in items if isinstance(event, _AccountEvent)}
    )
    forged: dict[UUID, str] = {}
    changed: dict[UUID, Account] = {}
    for envelope, event in items:
        if not isinstance(event, _AccountEvent):
            continue
        before = accounts.get(event.account_id)
        owner = before.workspace_id if before else event.workspace_id
        if not owner == event.workspace_id == envelope.workspace_id:
            forged[envelope.id] = FORGED
        elif (after := _after(before, event)) is not None:
            accounts[after.id] = changed[after.id] = after
    if forged:
        raise Poisoned(forged)
    if changed:
        rows = list(changed.values())
        await connection.exec_driver_sql(
            _UPSERT,
            {
                "ids": uuids(row.id for row in rows),
                "workspaces": uuids(row.workspace_id for row in rows),
                "platforms": texts(row.platform for row in rows),
                "handles": texts(row.handle for row in rows),
                "statuses": texts(row.status for row in rows),
            },
        )


def _after(before: Account | None, event: _AccountEvent) -> Account | None:
    match event:
        case AccountConnected() | AccountReconnected():
            return Account(
                event.account_id, event.workspace_id, event.platform, event.handle, event.status
            )
        case AccountReviewRequested():
            return before and replace(before, status="needs_review")
        case AccountDisconnected():
            return before and replace(before, status="disconnected")


READER: Reader = projection(
    "analytics.accounts",
    topics=["accounts.events"],
    events=[AccountConnected, AccountReconnected, AccountReviewRequested, AccountDisconnected],
    apply=apply,
    tables=["accounts"],
)


async def known(connection: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, Account]:
    """Those of the accounts that we know, by id."""
    rows: Any = await connection.exec_driver_sql(_KNOWN, {"ids": uuids(ids)})
    return {row.id: Account(*row) for row in rows}


async def find(connection: AsyncConnection, account_id: UUID) -> Account | None:
    """The account, if the transaction's workspace has it."""
    row = (await connection.execute(_ONE, {"id": account_id})).one_or_none()
    return None if row is None else Account(*row)


async def all_of_workspace(connection: AsyncConnection) -> list[Account]:
    """Every account of the transaction's workspace, disconnected ones too."""
    rows: Any = await connection.execute(_ALL)
    return [Account(*row) for row in rows]
