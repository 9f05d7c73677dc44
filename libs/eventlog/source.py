"""How rows of a log become messages of its topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from libs.contracts.envelope import headers_of
from libs.contracts.traces import is_sampled
from libs.messaging.producer import Message

Row = Any


class Untold(Exception):
    """Raised by `to_message` for a row whose meaning cannot be told (yet).

    The relay writes it to the owner's dead letters and goes on; the row stays in the log, so a
    corrected translation and a redrive bring it back.
    """


@dataclass(frozen=True)
class Source:
    """A log the relay can read.

    `table` has `xid` and `position`; `columns` are selected beside them (as SQL, from the alias
    `e`) and given to `to_message` as attributes of a row. A row may become no message (None); the
    relay adds the cursor's header, whose predecessor only it knows. `to_message` must be pure.
    """

    name: str
    table: str
    topic: str
    columns: str
    to_message: Callable[[Row], Message | None]


def message(
    *,
    id: str,  # noqa: A002 - the envelope's word
    type: str,  # noqa: A002
    source: str,
    time: datetime,
    stream: str,
    workspace_id: str | None,
    metadata: str,
    data: bytes,
) -> Message:
    """A message of these values as `headers_of` takes them; `metadata` is the column's JSON."""
    key = stream.encode()
    known: dict[str, str] = orjson.loads(metadata)
    return Message(
        key=key,
        value=data,
        headers=headers_of(
            id=id,
            type=type,
            source=source,
            time=time,
            stream=key,
            workspace_id=workspace_id,
            metadata=known,
        ),
        timestamp_ms=int(time.timestamp() * 1000),
        traced=is_sampled(known.get("traceparent")),
    )


def domain_source(service: str) -> Source:
    """The log of an event-sourced service (`schema.log_v1`), one message per row."""
    name = f"/{service}"

    def to_message(row: Row) -> Message:
        return message(
            id=row.id,
            type=row.type,
            source=name,
            time=row.occurred_at,
            stream=row.stream,
            workspace_id=row.workspace_id,
            metadata=row.metadata,
            data=row.data.encode(),
        )

    return Source(
        name=service,
        table="events",
        topic=f"{service}.events",
        columns="e.id::text AS id, e.stream, e.type, e.workspace_id::text AS workspace_id,"
        " e.data::text AS data, e.metadata::text AS metadata, e.occurred_at",
        to_message=to_message,
    )
