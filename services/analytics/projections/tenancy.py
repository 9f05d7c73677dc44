"""Whose an event of ingestion's is: the database says, not the message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.event import Event
from libs.contracts.ingestion import PlatformEvent
from libs.projections.arrays import uuids
from libs.projections.reader import Poisoned, Received
from services.analytics.projections.accounts import FORGED

E = TypeVar("E", bound=PlatformEvent)


def only(batch: Sequence[Received[Event]], *kinds: type[E]) -> list[Received[E]]:
    """Those of the batch that are of one of the kinds."""
    return [cast("Received[E]", item) for item in batch if isinstance(item.event, kinds)]


# Those that our copy of the accounts says are another workspace's.
_STRANGE = """
SELECT account, workspace
FROM unnest(%(accounts)b::uuid[], %(workspaces)b::uuid[]) AS said (account, workspace)
JOIN accounts ON accounts.id = said.account
WHERE accounts.workspace_id <> said.workspace
"""


async def refuse_forged(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """Raise Poisoned for events whose workspace is not their account's.

    The event, its envelope and our copy of the account must agree. An account we do not know yet
    cannot be checked: its rows stay invisible until it is, and are then its workspace's.
    """
    # By number, which hashes and compares many times faster than a UUID does.
    said: dict[tuple[int, int], PlatformEvent] = {}
    forged = []
    for item in batch:
        event, workspace = item.event, item.envelope.workspace_id
        if not isinstance(event, PlatformEvent):
            continue
        said[event.account_id.int, event.workspace_id.int] = event
        if workspace is None or workspace.int != event.workspace_id.int:
            forged.append(item.envelope.id)
    found = await connection.exec_driver_sql(
        _STRANGE,
        {
            "accounts": uuids(event.account_id for event in said.values()),
            "workspaces": uuids(event.workspace_id for event in said.values()),
        },
    )
    if strange := {tuple(row) for row in found}:
        forged += [
            item.envelope.id
            for item in only(batch, PlatformEvent)
            if (item.event.account_id, item.event.workspace_id) in strange
        ]
    if forged:
        raise Poisoned(dict.fromkeys(forged, FORGED))
