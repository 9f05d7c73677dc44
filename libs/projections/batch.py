"""One batch of one partition: which messages are new, which are poison, what is written.

Pure reading first (`sift`), then one transaction (`commit`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.contracts.envelope import (
    BadEnvelope,
    cursor_header,
    from_headers,
    read_cursor,
    type_header,
)
from libs.contracts.event import Event, UnknownEventType, decode
from libs.projections import checkpoints, dead_letters
from libs.projections.checkpoints import Checkpoint
from libs.projections.dead_letters import DeadLetter
from libs.projections.reader import Poisoned, Reader, Received

Record = Any  # aiokafka's ConsumerRecord[bytes, bytes]


@dataclass
class Sifted:
    """What a batch holds for a reader. `records` are those of `events`, in step."""

    checkpoint: Checkpoint
    events: list[Received[Event]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    poison: list[tuple[Record, UUID | None, str]] = field(default_factory=list)
    duplicates: int = 0
    hole_at: int | None = None


class LimitReached(Exception):
    """Too much poison. `upto` is the last offset that may still be taken in, or None."""

    def __init__(self, upto: int | None) -> None:
        super().__init__("too many dead letters")
        self.upto = upto


Allow = Callable[[Sequence[tuple[int, bool]]], None]


def sift(
    reader: Reader, old: Checkpoint, records: Sequence[Record], *, past_holes: bool = False
) -> Sifted:
    """Decode what the reader wants and has not had; stop short at a hole.

    A message whose cursor is not above the last one is a repeat. One that names a predecessor we
    have not seen stands behind a hole: the topic was emptied and fed again, or cut short, and
    nothing from there on may be taken in (`hole_at`). With `past_holes` such messages are passed
    over without moving the checkpoint: what they follow on must come yet.
    """
    sifted = Sifted(old)
    cursor = old.cursor
    next_offset = old.next_offset
    for record in records:
        headers = dict(record.headers)
        wire_type = _text(headers.get(type_header, b""))
        try:
            own, previous = read_cursor(headers.get(cursor_header, b""))
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
            if past_holes:
                continue
            break
        cursor = own
        next_offset = record.offset + 1
        if reader.types is not None and wire_type not in reader.types:
            continue
        _decode(sifted, record, wire_type)
    sifted.checkpoint = Checkpoint(next_offset, cursor)
    return sifted


def _decode(sifted: Sifted, record: Record, wire_type: str) -> None:
    event_id: UUID | None = None
    try:
        envelope = from_headers(record.headers)
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


async def commit(
    engine: AsyncEngine,
    reader: Reader,
    old: Checkpoint,
    sifted: Sifted,
    *,
    place: tuple[str, int],
    allow: Allow,
) -> list[DeadLetter]:
    """Rows, dead letters and checkpoint in one transaction; gives the dead letters.

    `place` is the topic (without prefix) and partition. `allow` sees (offset, is it poison) in
    order and may raise LimitReached, which undoes everything. Raises Fenced when another instance
    was faster, and whatever says that the database is not there.
    """
    async with engine.begin() as connection:
        refused = await _apply(connection, reader, sifted.events)
        poison = list(sifted.poison)
        for record, received in zip(sifted.records, sifted.events, strict=True):
            if received.envelope.id in refused:
                poison.append((record, received.envelope.id, refused[received.envelope.id]))
        letters = [_letter(place, *item) for item in poison]
        letters.sort(key=lambda letter: letter.offset)
        dead = {letter.offset for letter in letters}
        alive = {record.offset for record in sifted.records} - dead
        allow(sorted([(offset, True) for offset in dead] + [(offset, False) for offset in alive]))
        await dead_letters.write(connection, reader.name, letters)
        await checkpoints.move(connection, reader.name, *place, old=old, new=sifted.checkpoint)
    return letters


async def _apply(
    connection: AsyncConnection, reader: Reader, events: Sequence[Received[Event]]
) -> dict[UUID, str]:
    """Apply all, or bisect until what cannot be applied stands alone; gives those with reasons."""
    if not events:
        return {}
    try:
        async with connection.begin_nested():
            await reader.apply(connection, events)
    except Poisoned as error:
        kept = [item for item in events if item.envelope.id not in error.reasons]
        if len(kept) == len(events):
            raise
        return {**error.reasons, **await _apply(connection, reader, kept)}
    except Exception as error:
        if is_passing(error):
            raise
        if len(events) == 1:
            return {events[0].envelope.id: _reason(error)}
        middle = len(events) // 2
        return {
            **await _apply(connection, reader, events[:middle]),
            **await _apply(connection, reader, events[middle:]),
        }
    return {}


def is_passing(error: BaseException) -> bool:
    """Whether trying the same batch again may succeed: the database's state, not the message."""
    if isinstance(error, (OSError, TimeoutError, sa.TimeoutError, sa.InterfaceError)):
        return True
    if not isinstance(error, sa.DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    # 40 serialisation and deadlock, 08/53/57/58 server going away or out of room, 55 locks,
    # 25006 read-only (a failover under way), 25P03 idle for too long in a transaction (we were
    # stopped); none: the connection broke.
    if state is None:
        return isinstance(error, sa.OperationalError)
    return state[:2] in {"08", "40", "53", "55", "57", "58"} or state in {"25006", "25P03"}


def _reason(error: BaseException) -> str:
    """What went wrong, without the values: for the database, its state and constraint."""
    if isinstance(error, sa.DBAPIError):
        diagnostics = getattr(error.orig, "diag", None)
        constraint = getattr(diagnostics, "constraint_name", None)
        state = getattr(error.orig, "sqlstate", None)
        kind = type(error.orig).__name__
        return f"{kind} ({state})" + (f" on {constraint}" if constraint else "")
    return f"{type(error).__name__} while applying"


def _text(value: bytes) -> str:
    """A header as text that a text column can hold."""
    return value.decode("ascii", "replace").replace("\x00", "")


def _letter(
    place: tuple[str, int], record: Record, event_id: UUID | None, reason: str
) -> DeadLetter:
    headers = dict(record.headers)
    wire_type = headers.get(type_header)
    return DeadLetter(
        topic=place[0],
        partition=place[1],
        offset=record.offset,
        event_id=event_id,
        type=_text(wire_type)[:255] if wire_type else None,
        key=record.key,
        value=record.value,
        headers=record.headers,
        error=reason,
    )
