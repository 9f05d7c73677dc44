"""Append, load, decide: the event-sourced half of a service.

All functions work inside the caller's transaction: the events and the tables that fold them are
written together or not at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import orjson
from psycopg import errors as pg
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.envelope import Metadata
from libs.contracts.event import Event, decode, encode

# Left in `connection.info` by an append, for whoever commits to wake the relay.
APPENDED = "rookery.appended"

State = TypeVar("State")
Command = TypeVar("Command")


class StreamConflict(Exception):
    """Someone else appended to the stream first; load it again and decide again."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event in its stream. `version` counts from 1 within the stream."""

    id: UUID
    stream: str
    version: int
    event: Event
    workspace_id: UUID | None
    metadata: Metadata
    occurred_at: datetime


_APPEND = """
INSERT INTO events (id, stream, version, type, workspace_id, data, metadata, occurred_at)
SELECT id, %(stream)s, version, type, workspace_id, data::jsonb, %(metadata)s::jsonb, %(now)s
FROM unnest(%(ids)b::uuid[], %(versions)b::int4[], %(types)b::text[], %(workspaces)b::uuid[],
            %(data)b::text[])
  AS e (id, version, type, workspace_id, data)
"""
_LOAD = """
SELECT id, version, type, data::text, workspace_id, metadata, occurred_at
FROM events WHERE stream = %(stream)s ORDER BY version
"""


def metadata_json(metadata: Metadata) -> str:
    """The metadata as the JSON of the `metadata` column, absent values left out."""
    present = {key: value for key, value in asdict(metadata).items() if value is not None}
    return orjson.dumps(present).decode()


def metadata_of(document: dict[str, Any]) -> Metadata:
    """The metadata again."""
    actor = document.get("actor_id")
    return Metadata(**{**document, "actor_id": UUID(actor) if actor else None})


async def append(
    connection: AsyncConnection,
    stream: str,
    *,
    expected_version: int,
    events: Sequence[Event],
    workspace_id: UUID | None,
    metadata: Metadata,
    now: datetime,
) -> list[Recorded]:
    """Write events behind version `expected_version` (0 for a new stream), in order.

    Raises StreamConflict when the stream has moved on; the transaction is then aborted.
    """
    recorded = [
        Recorded(uuid4(), stream, version, event, workspace_id, metadata, now)
        for version, event in enumerate(events, start=expected_version + 1)
    ]
    if not recorded:
        return []
    try:
        await connection.exec_driver_sql(
            _APPEND,
            {
                "stream": stream,
                "metadata": metadata_json(metadata),
                "now": now,
                "ids": [item.id for item in recorded],
                "versions": [item.version for item in recorded],
                "types": [item.event.type for item in recorded],
                "workspaces": [workspace_id for _ in recorded],
                "data": [encode(item.event).decode() for item in recorded],
            },
        )
    except sa.IntegrityError as error:
        if isinstance(error.orig, pg.UniqueViolation):
            raise StreamConflict(stream) from None
        raise
    connection.info[APPENDED] = True
    return recorded


async def load(connection: AsyncConnection, stream: str) -> list[Recorded]:
    """The whole stream in order, old versions of events upcast; empty if there is none."""
    rows = await connection.exec_driver_sql(_LOAD, {"stream": stream})
    return [
        Recorded(
            id=row.id,
            stream=stream,
            version=row.version,
            event=decode(row.type, row.data.encode()),
            workspace_id=row.workspace_id,
            metadata=metadata_of(row.metadata),
            occurred_at=row.occurred_at,
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Decider(Generic[State, Command]):
    """An event-sourced thing: pure functions, and the tables that are its inline projection.

    `project` writes the tables for newly recorded events, in the same transaction; called with a
    whole history on empty tables it must give the same rows.
    """

    initial: Callable[[], State]
    evolve: Callable[[State, Event], State]
    decide: Callable[[State, Command], Sequence[Event]]
    project: Callable[[AsyncConnection, Sequence[Recorded]], Awaitable[None]]


async def fold(
    connection: AsyncConnection, decider: Decider[State, Command], stream: str
) -> tuple[State, int]:
    """The stream's state and version; the initial state and 0 for one that does not exist."""
    state, version = decider.initial(), 0
    for recorded in await load(connection, stream):
        state, version = decider.evolve(state, recorded.event), recorded.version
    return state, version


async def decide(
    connection: AsyncConnection,
    decider: Decider[State, Command],
    stream: str,
    command: Command,
    *,
    workspace_id: UUID | None,
    metadata: Metadata,
    now: datetime,
) -> tuple[State, list[Recorded]]:
    """Fold the stream, decide the command, append what it says and project it.

    Returns the new state and the new events (none if the command changes nothing). Raises what
    the decider raises, or StreamConflict after which the whole transaction may be tried again.
    """
    state, version = await fold(connection, decider, stream)
    new = await append(
        connection,
        stream,
        expected_version=version,
        events=decider.decide(state, command),
        workspace_id=workspace_id,
        metadata=metadata,
        now=now,
    )
    for recorded in new:
        state = decider.evolve(state, recorded.event)
    if new:
        await decider.project(connection, new)
    return state, new
