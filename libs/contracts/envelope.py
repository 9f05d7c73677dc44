"""CloudEvents 1.0, binary mode: the envelope in Kafka headers, the event's data as the value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
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

Header = tuple[str, bytes]

_SPEC_VERSION_HEADER = ("ce_specversion", SPEC_VERSION)
_CONTENT_TYPE_HEADER = ("content-type", b"application/json")
_METADATA_HEADERS = {
    "actor_id": "rk_actor",
    "ip": "rk_ip",
    "user_agent": "rk_user_agent",
    "correlation_id": "rk_correlation",
    "causation_id": "rk_causation",
    "traceparent": "traceparent",
}


def to_headers(envelope: Envelope) -> list[Header]:
    """Kafka headers that say all of the envelope; absent values have no header."""
    values = ((name, getattr(envelope.metadata, name)) for name in _METADATA_HEADERS)
    workspace = envelope.workspace_id
    return [
        *headers_of(
            id=str(envelope.id),
            type=envelope.type,
            source=envelope.source,
            time=envelope.time,
            stream=envelope.stream.encode(),
            workspace_id=None if workspace is None else str(workspace),
            metadata={name: str(value) for name, value in values if value is not None},
        ),
        cursor_to_header(envelope.cursor, envelope.previous),
    ]


def headers_of(
    *,
    id: str,  # noqa: A002 - the envelope's word
    type: str,  # noqa: A002
    source: str,
    time: datetime,
    stream: bytes,
    workspace_id: str | None,
    metadata: Mapping[str, str],
) -> list[Header]:
    """The same from the values as they stand in a log, without the cursor's header.

    A relay writes these for each event, so nothing is made here that is not sent. Ids are in
    lower case with hyphens, `time` is aware, `metadata` has the fields of Metadata that are known.
    Raises KeyError for others.
    """
    if time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    headers = [
        _SPEC_VERSION_HEADER,
        ("ce_id", id.encode()),
        (type_header, type.encode()),
        ("ce_source", source.encode()),
        ("ce_time", time.isoformat().encode()),
        ("ce_subject", stream),
        _CONTENT_TYPE_HEADER,
    ]
    if workspace_id is not None:
        headers.append(("rk_workspace", workspace_id.encode()))
    for name, value in metadata.items():
        headers.append((_METADATA_HEADERS[name], value.encode()))
    return headers


def cursor_to_header(own: Cursor, previous: Cursor) -> Header:
    """The header that places a message in its partition; see `Envelope`."""
    return (cursor_header, f"{own} {previous}".encode())


def read_cursor(value: bytes) -> tuple[Cursor, Cursor]:
    """The message's own cursor and the one before it in the partition; raises BadEnvelope."""
    try:
        own, previous = value.split(b" ")
        return _cursor(own), _cursor(previous)
    except ValueError as error:
        raise BadEnvelope(
            f"header {cursor_header} is not '<xid>:<position> <xid>:<position>'"
        ) from error


def from_headers(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """The envelope that these headers say; raises BadEnvelope."""
    raw = dict(headers)
    return envelope_of(raw, read_cursor(raw.get(cursor_header, b"")))


def envelope_of(raw: Mapping[str, bytes], cursors: tuple[Cursor, Cursor]) -> Envelope:
    """The same for headers by name, whose `read_cursor` is known; raises BadEnvelope."""
    if raw.get("ce_specversion") != SPEC_VERSION:
        raise BadEnvelope("header ce_specversion is not 1.0")
    try:
        time = datetime.fromisoformat(_need(raw, "ce_time"))
        if time.tzinfo is None:
            raise BadEnvelope("header ce_time has no time zone")
        return Envelope(
            id=UUID(_need(raw, "ce_id")),
            type=_need(raw, type_header),
            source=_need(raw, "ce_source"),
            time=time,
            stream=_need(raw, "ce_subject"),
            workspace_id=_uuid(raw.get("rk_workspace")),
            cursor=cursors[0],
            previous=cursors[1],
            metadata=_NOBODY if _METADATA.isdisjoint(raw) else _metadata(raw),
        )
    except BadEnvelope:
        raise
    except ValueError as error:  # a UUID, a time or UTF-8 that is none; the value is not repeated
        raise BadEnvelope("a header does not hold what its name says") from error


_METADATA = frozenset(_METADATA_HEADERS.values())
_NOBODY = Metadata()


def _metadata(raw: Mapping[str, bytes]) -> Metadata:
    return Metadata(
        actor_id=_uuid(raw.get("rk_actor")),
        ip=_text(raw, "rk_ip"),
        user_agent=_text(raw, "rk_user_agent"),
        correlation_id=_text(raw, "rk_correlation"),
        causation_id=_text(raw, "rk_causation"),
        traceparent=_text(raw, "traceparent"),
    )


def _text(raw: Mapping[str, bytes], name: str) -> str | None:
    value = raw.get(name)
    return None if value is None else value.decode()


def _need(raw: Mapping[str, bytes], name: str) -> str:
    value = raw.get(name)
    if not value:
        raise BadEnvelope(f"header {name} is missing")
    return value.decode()


# A message names the cursor that the one before it had as its own.
@lru_cache(maxsize=256)
def _cursor(text: bytes) -> Cursor:
    xid, position = text.split(b":")
    return Cursor(int(xid), int(position))


# The same workspaces and people come again and again.
@lru_cache(maxsize=4_096)
def _uuid(text: bytes | None) -> UUID | None:
    return None if text is None else UUID(text.decode())
