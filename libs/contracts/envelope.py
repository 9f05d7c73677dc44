"""CloudEvents 1.0, binary mode: the envelope in Kafka headers, the event's data as the value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

SPEC_VERSION = b"1.0"


class Cursor(NamedTuple):
    """A place in an owner's log: ordered by transaction id, then by position."""

    xid: int
    position: int

    def __str__(self) -> str:
        return f"{self.xid}:{self.position}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read `xid:position`; raises ValueError on anything else."""
        xid, position = text.split(":")
        return cls(int(xid), int(position))


BEGINNING = Cursor(0, 0)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who did it, from where, and as part of what. Nothing secret may stand here.

    `ip` and `user_agent` are the client's as the gateway saw them; `traceparent` is W3C trace
    context; the ids join a chain of events to the request or event that caused them.
    """

    actor_id: UUID | None = None
    ip: str | None = None
    user_agent: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """All that travels beside an event's data.

    `stream` is the Kafka key and the unit of order. `cursor` is the event's place in its owner's
    log; `previous` is that of the event sent before it to the same partition, so that a reader
    can tell a hole from a filter (`BEGINNING` for the first).
    """

    id: UUID
    type: str
    source: str
    time: datetime
    stream: str
    workspace_id: UUID | None
    cursor: Cursor
    previous: Cursor = BEGINNING
    metadata: Metadata = field(default_factory=Metadata)


class BadEnvelope(ValueError):
    """A message without the headers that make it one of ours."""


type_header = "ce_type"
cursor_header = "rk_cursor"


def to_headers(envelope: Envelope) -> list[tuple[str, bytes]]:
    """Kafka headers that say all of the envelope; absent values have no header."""
    meta = envelope.metadata
    headers = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", str(envelope.id).encode()),
        (type_header, envelope.type.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_time", envelope.time.astimezone(UTC).isoformat().encode()),
        ("ce_subject", envelope.stream.encode()),
        ("content-type", b"application/json"),
        (cursor_header, f"{envelope.cursor} {envelope.previous}".encode()),
    ]
    optional = (
        ("rk_workspace", envelope.workspace_id),
        ("rk_actor", meta.actor_id),
        ("rk_ip", meta.ip),
        ("rk_user_agent", meta.user_agent),
        ("rk_correlation", meta.correlation_id),
        ("rk_causation", meta.causation_id),
        ("traceparent", meta.traceparent),
    )
    headers.extend((name, str(value).encode()) for name, value in optional if value is not None)
    return headers


def read_cursor(value: bytes) -> tuple[Cursor, Cursor]:
    """The message's own cursor and the one before it in the partition; raises BadEnvelope."""
    try:
        own, previous = value.decode("ascii").split(" ")
        return Cursor.parse(own), Cursor.parse(previous)
    except ValueError as error:
        raise BadEnvelope(
            f"header {cursor_header} is not '<xid>:<position> <xid>:<position>'"
        ) from error


def from_headers(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """The envelope that these headers say; raises BadEnvelope."""
    raw = dict(headers)

    def text(name: str) -> str | None:
        value = raw.get(name)
        return None if value is None else value.decode("utf-8")

    def need(name: str) -> str:
        value = text(name)
        if not value:
            raise BadEnvelope(f"header {name} is missing")
        return value

    def uuid(name: str) -> UUID | None:
        value = text(name)
        return None if value is None else UUID(value)

    if raw.get("ce_specversion") != SPEC_VERSION:
        raise BadEnvelope("header ce_specversion is not 1.0")
    cursor, previous = read_cursor(raw.get(cursor_header, b""))
    try:
        time = datetime.fromisoformat(need("ce_time"))
        if time.tzinfo is None:
            raise BadEnvelope("header ce_time has no time zone")
        return Envelope(
            id=UUID(need("ce_id")),
            type=need(type_header),
            source=need("ce_source"),
            time=time,
            stream=need("ce_subject"),
            workspace_id=uuid("rk_workspace"),
            cursor=cursor,
            previous=previous,
            metadata=Metadata(
                actor_id=uuid("rk_actor"),
                ip=text("rk_ip"),
                user_agent=text("rk_user_agent"),
                correlation_id=text("rk_correlation"),
                causation_id=text("rk_causation"),
                traceparent=text("traceparent"),
            ),
        )
    except BadEnvelope:
        raise
    except ValueError as error:  # a UUID, a time or UTF-8 that is none; the value is not repeated
        raise BadEnvelope("a header does not hold what its name says") from error
