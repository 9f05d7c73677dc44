"""Messages a reader could not take in, whole and with the reason."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message, as it stood on the topic, and why it was refused."""

    topic: str
    partition: int
    offset: int
    event_id: UUID | None
    type: str | None
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    error: str


_INSERT = """
INSERT INTO dead_letters
  (reader, topic, partition, "offset", event_id, type, key, value, headers, error)
VALUES (%(reader)s, %(topic)s, %(partition)s, %(offset)s, %(event_id)s, %(type)s, %(key)s,
        %(value)s, %(headers)s::jsonb, %(error)s)
"""
_KNOWN_EVENT = """
ON CONFLICT (reader, event_id) WHERE event_id IS NOT NULL
DO UPDATE SET attempts = dead_letters.attempts + 1, last_seen = now(), error = excluded.error
"""
_KNOWN_PLACE = """
ON CONFLICT (reader, topic, partition, "offset") WHERE event_id IS NULL
DO UPDATE SET attempts = dead_letters.attempts + 1, last_seen = now(), error = excluded.error
"""


def _headers(headers: Sequence[tuple[str, bytes]]) -> str:
    """Headers as JSON; what is not printable ASCII is kept as base64."""
    document: list[list[Any]] = []
    for name, value in headers:
        try:
            document.append([name, value.decode("ascii"), "text"])
        except UnicodeDecodeError:
            document.append([name, base64.b64encode(value).decode(), "base64"])
    return orjson.dumps(document).decode().replace("\\u0000", "")


async def write(connection: AsyncConnection, reader: str, letters: Sequence[DeadLetter]) -> None:
    """Keep the letters, in the transaction of the batch. The same message again counts up."""
    for letter in letters:
        known = _KNOWN_PLACE if letter.event_id is None else _KNOWN_EVENT
        await connection.exec_driver_sql(
            _INSERT + known,
            {
                "reader": reader,
                "topic": letter.topic,
                "partition": letter.partition,
                "offset": letter.offset,
                "event_id": letter.event_id,
                "type": letter.type,
                "key": letter.key,
                "value": letter.value,
                "headers": _headers(letter.headers),
                "error": letter.error[:2000],
            },
        )
