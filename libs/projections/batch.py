"""One batch of one partition, sifted, becomes rows: one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.contracts.envelope import type_header
from libs.contracts.event import Event
from libs.projections import checkpoints, dead_letters
from libs.projections.checkpoints import Checkpoint, Fenced
from libs.projections.dead_letters import DeadLetter
from libs.projections.reader import Poisoned, Reader, Received
from libs.projections.sift import Record, Sifted, as_text


class LimitReached(Exception):
    """Too much poison. `upto` is the last offset that may still be taken in, or None."""

    def __init__(self, upto: int | None) -> None:
        super().__init__("too many dead letters")
        self.upto = upto


Allow = Callable[[Sequence[tuple[int, bool]]], None]
Apply = Callable[[AsyncConnection, Reader, Sequence[Received[Event]]], Awaitable[dict[UUID, str]]]


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
    try:
        return await _commit(
            engine, reader, old, sifted, place=place, allow=allow, apply=_apply_all
        )
    except (Fenced, LimitReached):
        raise
    except Exception as error:
        if is_passing(error):
            raise
    # Savepoints find what is at fault; they cost too much to have them ready each time.
    return await _commit(
        engine, reader, old, sifted, place=place, allow=allow, apply=_apply_bisecting
    )


async def _commit(
    engine: AsyncEngine,
    reader: Reader,
    old: Checkpoint,
    sifted: Sifted,
    *,
    place: tuple[str, int],
    allow: Allow,
    apply: Apply,
) -> list[DeadLetter]:
    async with engine.begin() as connection:
        refused = await apply(connection, reader, sifted.events) if sifted.events else {}
        poison = list(sifted.poison)
        if refused:
            for record, received in zip(sifted.records, sifted.events, strict=True):
                if received.envelope.id in refused:
                    poison.append((record, received.envelope.id, refused[received.envelope.id]))
        letters = sorted((_letter(place, *item) for item in poison), key=lambda one: one.offset)
        dead = {letter.offset for letter in letters}
        outcomes = [(r.offset, False) for r in sifted.records if r.offset not in dead]
        allow(sorted([*outcomes, *((offset, True) for offset in dead)]) if dead else outcomes)
        await dead_letters.write(connection, reader.name, letters)
        await checkpoints.move(
            connection,
            reader.name,
            *place,
            old=old,
            new=sifted.checkpoint,
            durable=reader.durable,
        )
    return letters


async def _apply_all(
    connection: AsyncConnection, reader: Reader, events: Sequence[Received[Event]]
) -> dict[UUID, str]:
    await reader.apply(connection, events)
    return {}


async def _apply_bisecting(
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
        return {**error.reasons, **await _apply_bisecting(connection, reader, kept)}
    except Exception as error:
        if is_passing(error):
            raise
        if len(events) == 1:
            return {events[0].envelope.id: _reason(error)}
        middle = len(events) // 2
        return {
            **await _apply_bisecting(connection, reader, events[:middle]),
            **await _apply_bisecting(connection, reader, events[middle:]),
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
        type=as_text(wire_type)[:255] if wire_type else None,
        key=record.key,
        value=record.value,
        headers=record.headers,
        error=reason,
    )
