"""How rows of a log become messages of its topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from libs.contracts.envelope import Cursor, Envelope
from libs.eventlog.log import metadata_of

Row = Any


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be: its envelope (without `previous`, which the relay knows) and its data."""

    envelope: Envelope
    data: bytes


class Untold(Exception):
    """Raised by `to_message` for a row whose meaning cannot be told (yet).

    The relay writes it to the owner's dead letters and goes on; the row stays in the log, so a
    corrected translation and a redrive bring it back.
    """


@dataclass(frozen=True)
class Source:
    """A log the relay can read.

    `table` has `xid` and `position`; `columns` are selected beside them (as SQL, from the alias
    `e`) and given to `to_message` as attributes of a row, with `cursor`. A row may become no
    message (None). `to_message` must be pure.
    """

    name: str
    table: str
    topic: str
    columns: str
    to_message: Callable[[Row, Cursor], Outgoing | None]


def domain_source(service: str) -> Source:
    """The log of an event-sourced service (`schema.log_v1`), one message per row."""

    def to_message(row: Row, cursor: Cursor) -> Outgoing:
        return Outgoing(
            Envelope(
                id=UUID(str(row.id)),
                type=row.type,
                source=f"/{service}",
                time=row.occurred_at,
                stream=row.stream,
                workspace_id=row.workspace_id,
                cursor=cursor,
                metadata=metadata_of(row.metadata),
            ),
            row.data.encode(),
        )

    return Source(
        name=service,
        table="events",
        topic=f"{service}.events",
        columns="e.id, e.stream, e.type, e.workspace_id, e.data::text AS data, e.metadata,"
        " e.occurred_at",
        to_message=to_message,
    )
