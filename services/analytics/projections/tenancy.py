"""Whose an event of ingestion's is: the database says, not the message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.event import Event
from libs.contracts.ingestion import PlatformEvent
from libs.projections.reader import Poisoned, Received
from services.analytics.projections.accounts import FORGED, known

E = TypeVar("E", bound=PlatformEvent)


def only(batch: Sequence[Received[Event]], *kinds: type[E]) -> list[Received[E]]:
    """Those of the batch that are of one of the kinds."""
    return [cast("Received[E]", item) for item in batch if isinstance(item.event, kinds)]


async def refuse_forged(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """Raise Poisoned for events whose workspace is not their account's.

    The event, its envelope and our copy of the account must agree. An account we do not know yet
    cannot be checked: its rows stay invisible until it is, and are then its workspace's.
    """
    items = only(batch, PlatformEvent)
    accounts = await known(connection, {item.event.account_id for item in items})
    forged = []
    for item in items:
        account = accounts.get(item.event.account_id)
        owner = account.workspace_id if account else item.event.workspace_id
        if not owner == item.event.workspace_id == item.envelope.workspace_id:
            forged.append(item.envelope.id)
    if forged:
        raise Poisoned(dict.fromkeys(forged, FORGED))
