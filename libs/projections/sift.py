"""Which messages of a partition are new to a reader, and which are poison. Pure reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from libs.contracts.envelope import (
    BadEnvelope,
    Cursor,
    cursor_header,
    envelope_of,
    read_cursor,
    type_header,
)
from libs.contracts.event import Event, UnknownEventType, decode
from libs.projections.checkpoints import Checkpoint
from libs.projections.reader import Reader, Received

Record = Any  # aiokafka's ConsumerRecord[bytes, bytes]


@dataclass
class Sifted:
    """What a batch holds for a reader. `checkpoint` is the old one, and moves with the sifting.

    `records` are those of `events`, in step.
    """

    checkpoint: Checkpoint
    past_holes: bool = False
    events: list[Received[Event]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    poison: list[tuple[Record, UUID | None, str]] = field(default_factory=list)
    duplicates: int = 0
    hole_at: int | None = None

    @property
    def concerns(self) -> bool:
        """Whether there is anything to write but the place."""
        return bool(self.events or self.poison)


def sift(reader: Reader, sifted: Sifted, records: Sequence[Record]) -> None:
    """Decode what the reader wants and has not had; stop short at a hole.

    Goes on from where `sifted` stands, so that a batch can be sifted in pieces. A message whose
    cursor is not above the last one is a repeat. One that names a predecessor we have not seen
    stands behind a hole: the topic was emptied and fed again, or cut short, and nothing from there
    on may be taken in (`hole_at`). With `past_holes` such messages are passed over without moving
    the checkpoint: what they follow on must come yet.
    """
    if sifted.hole_at is not None and not sifted.past_holes:
        return
    cursor, next_offset = sifted.checkpoint.cursor, sifted.checkpoint.next_offset
    for record in records:
        headers = dict(record.headers)
        try:
            cursors = own, previous = read_cursor(headers.get(cursor_header, b""))
        except BadEnvelope as error:
            sifted.poison.append((record, None, str(error)))
            next_offset = record.offset + 1
            continue
        if own <= cursor:
            sifted.duplicates += 1
            next_offset = record.offset + 1
            continue
        if previous > cursor:
            sifted.hole_at = record.offset
            if sifted.past_holes:
                continue
            break
        cursor = own
        next_offset = record.offset + 1
        wire_type = as_text(headers.get(type_header, b""))
        if reader.types is None or wire_type in reader.types:
            _decode(sifted, record, wire_type, headers, cursors)
    sifted.checkpoint = Checkpoint(next_offset, cursor)


def _decode(
    sifted: Sifted,
    record: Record,
    wire_type: str,
    headers: Mapping[str, bytes],
    cursors: tuple[Cursor, Cursor],
) -> None:
    event_id: UUID | None = None
    try:
        envelope = envelope_of(headers, cursors)
        event_id = envelope.id
        if record.value is None:
            raise BadEnvelope("the message has no value")
        received = Received(decode(wire_type, record.value), envelope)
    except UnknownEventType:
        sifted.poison.append((record, event_id, f"no contract for type {wire_type[:80]!r}"))
    except ValidationError as error:
        # Field names and kinds of error only: the values may be personal.
        faults = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['type']}"
            for item in error.errors(include_input=False, include_url=False)[:5]
        )
        sifted.poison.append((record, event_id, f"breaks its contract: {faults}"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error) if isinstance(error, BadEnvelope) else type(error).__name__
        sifted.poison.append((record, event_id, f"cannot be read: {reason}"))
    else:
        sifted.events.append(received)
        sifted.records.append(record)


@lru_cache(maxsize=1_024)
def as_text(value: bytes) -> str:
    """A header as text that a text column can hold."""
    return value.decode("ascii", "replace").replace("\x00", "")
