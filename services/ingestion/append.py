"""The one statement by which anything enters the log."""

from __future__ import annotations

import hashlib
from collections import Counter as Counts
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

import orjson
import psycopg
from prometheus_client import Counter
from psycopg.rows import TupleRow
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.accounts import PlatformName
from services.ingestion.arrays import Packed, booleans, moments, texts, uuids

WRITTEN = Counter("rookery_ingestion_events_total", "Rows added to the log", ["platform"])
DUPLICATES = Counter(
    "rookery_ingestion_duplicates_total", "Items that were in the log already", ["platform"]
)

Unrouted = Literal["unknown-account", "account-disconnected"]

# The account is looked up in the statement itself, so no copy of the routes can be out of date.
# Keys are inserted in the order of their ids: two batches with the same ids cannot deadlock.
# Text cast to jsonb is as fast as binary jsonb within what a busy two-core machine can show
# (36-58k against 37-56k rows/s).
_APPEND = """
WITH incoming AS (
  SELECT * FROM unnest(%(ids)b::uuid[], %(platforms)b::text[], %(users)b::text[],
    %(types)b::text[], %(payloads)b::text[], %(metadata)b::text[], %(times)b::timestamptz[],
    %(anyway)b::bool[])
    WITH ORDINALITY
    AS i (id, platform, platform_user_id, type, payload, metadata, received_at, anyway, place)
), routed AS MATERIALIZED (
  SELECT i.*, r.account_id, r.workspace_id,
    r.account_id IS NOT NULL AND (r.active OR i.anyway) AS open
  FROM incoming i
  LEFT JOIN account_routes r USING (platform, platform_user_id)
), fresh AS (
  INSERT INTO event_keys (id) SELECT id FROM routed WHERE open ORDER BY id
  ON CONFLICT DO NOTHING RETURNING id
), written AS (
  INSERT INTO events
    (id, workspace_id, social_account_id, platform, type, payload, metadata, received_at)
  SELECT id, workspace_id, account_id, platform, type, payload::jsonb, metadata::jsonb, received_at
  FROM routed JOIN fresh USING (id) ORDER BY place
  RETURNING id
)
SELECT r.id, CASE WHEN r.account_id IS NULL THEN 'unknown-account'
  WHEN NOT r.open THEN 'account-disconnected' END AS unrouted
FROM routed r LEFT JOIN written w USING (id) WHERE w.id IS NULL
"""


class Item(NamedTuple):
    """One thing a platform said about one of its accounts.

    `payload` is JSON that `strict_json` accepts, `metadata` the envelope's as JSON text.
    `received_at` is aware. `even_disconnected`: it is written for an account that was disconnected,
    too (a request to delete data must not get lost).
    """

    id: UUID
    platform: PlatformName
    platform_user_id: str
    type: str
    payload: bytes
    metadata: str
    received_at: datetime
    even_disconnected: bool = False


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of the items: written, there before, or of no account of ours."""

    written: int
    duplicates: int
    unrouted: list[tuple[Item, Unrouted]]


def event_id(platform: PlatformName, whose: str, key: Sequence[str]) -> UUID:
    """The id of an item: the same for the same platform, account and dedupe key, for ever."""
    digest = hashlib.blake2b(orjson.dumps([platform, whose, *key]), digest_size=16).digest()
    return UUID(int=_as_version_8(int.from_bytes(digest, "big")))


def _as_version_8(number: int) -> int:
    # RFC 9562: version 8 leaves the other bits to us.
    number &= ~(0xF000 << 64) & ~(0xC000 << 48)
    return number | (8 << 76) | (0x8000 << 48)


async def append(connection: AsyncConnection, items: Sequence[Item]) -> Appended:
    """Add to the log what is new and of a connected account, in the order given.

    Takes a transaction of the worker role; nothing is there until it commits. Idempotent: an id is
    written once for ever, whatever the payload. Counts metrics at once, so a rolled back append is
    counted too.
    """
    unique = _first_of_each(items)
    if not unique:
        return Appended(0, 0, [])
    left_out = await connection.exec_driver_sql(_APPEND, _parameters(unique))
    return _outcome(items, unique, [(row.id, row.unrouted) for row in left_out])


async def append_at_once(
    connection: psycopg.AsyncConnection[TupleRow], items: Sequence[Item]
) -> Appended:
    """The same on a connection in autocommit: appended and committed in one round trip.

    Raises psycopg's errors; nothing is there then.
    """
    unique = _first_of_each(items)
    if not unique:
        return Appended(0, 0, [])
    left_out = await connection.execute(_APPEND, _parameters(unique))
    return _outcome(items, unique, await left_out.fetchall())


def _parameters(items: Sequence[Item]) -> dict[str, Packed]:
    return {
        "ids": uuids([item.id for item in items]),
        "platforms": texts([item.platform.encode() for item in items]),
        "users": texts([item.platform_user_id.encode() for item in items]),
        "types": texts([item.type.encode() for item in items]),
        "payloads": texts([item.payload for item in items]),
        "metadata": texts([item.metadata.encode() for item in items]),
        "times": moments([item.received_at for item in items]),
        "anyway": booleans([item.even_disconnected for item in items]),
    }


def _first_of_each(items: Sequence[Item]) -> list[Item]:
    first: dict[UUID, Item] = {}
    for item in items:
        first.setdefault(item.id, item)
    return list(first.values())


def _outcome(
    items: Sequence[Item], unique: Sequence[Item], left_out: Iterable[tuple[UUID, Unrouted | None]]
) -> Appended:
    """What became of the items by the rows that the statement gives; counts it."""
    why = dict(left_out)
    unrouted = [(item, reason) for item in unique if (reason := why.get(item.id))] if why else []
    away = {item.id for item, _ in unrouted}
    written = Counts(item.platform for item in unique if item.id not in why)
    routed = Counts(item.platform for item in items if item.id not in away)
    duplicates = routed - written
    for platform, number in written.items():
        WRITTEN.labels(platform).inc(number)
    for platform, number in duplicates.items():
        DUPLICATES.labels(platform).inc(number)
    return Appended(written.total(), duplicates.total(), unrouted)
