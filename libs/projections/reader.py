"""What reads a topic: projections, which only write their own tables, and reactors, which act."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.envelope import Envelope
from libs.contracts.event import Event, wire_types

E_co = TypeVar("E_co", bound=Event, covariant=True)


class Received(NamedTuple, Generic[E_co]):
    """An event as it arrived."""

    event: E_co
    envelope: Envelope


Apply = Callable[[AsyncConnection, Sequence[Received[Event]]], Awaitable[None]]
Handle = Callable[[AsyncConnection, Received[Event]], Awaitable[None]]


class Poisoned(Exception):
    """Raised by `apply` to name the messages that must go to the dead letters, with the reason.

    The runner rolls the batch back, sets these aside and applies the rest. Reasons must not repeat
    personal or secret values.
    """

    def __init__(self, reasons: dict[UUID, str]) -> None:
        super().__init__(f"{len(reasons)} messages refused")
        self.reasons = reasons


@dataclass(frozen=True)
class Reader:
    """A named reader of topics; its Kafka group and checkpoint carry `name`.

    `apply` gets events in order within each stream, writes only tables of its own service, and
    may be called again with the same events after a rollback. `types` are the wire types it
    wants, all others are passed over without decoding; None wants every type. What a reactor wrote
    goes out into the world by its service's relay, so it must not be lost again (`durable`); what a
    projection wrote can be.
    """

    name: str
    topics: tuple[str, ...]
    types: frozenset[str] | None
    apply: Apply
    tables: tuple[str, ...] = field(default=(), compare=False)
    durable: bool = False


def projection(
    name: str,
    *,
    topics: Sequence[str],
    events: Sequence[type[Event]],
    apply: Apply,
    tables: Sequence[str] = (),
) -> Reader:
    """A read model: set-based `apply`, rebuildable by emptying `tables` and its checkpoints."""
    return Reader(name, tuple(topics), wire_types(*events), apply, tuple(tables))


_HANDLED = text(
    "INSERT INTO handled_events (reactor, event_id) VALUES (:reactor, :event_id)"
    " ON CONFLICT DO NOTHING RETURNING 1"
)


def reactor(
    name: str, *, topics: Sequence[str], events: Sequence[type[Event]], handle: Handle
) -> Reader:
    """A foreign event becomes an own command, once per event for ever.

    The record of that is kept in `handled_events`, in the transaction of the command, so a
    repeated, redriven or replayed event finds it and does nothing.
    """

    async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
        for received in batch:
            first = await connection.execute(
                _HANDLED, {"reactor": name, "event_id": received.envelope.id}
            )
            if first.first() is not None:
                await handle(connection, received)

    return Reader(name, tuple(topics), wire_types(*events), apply, durable=True)
