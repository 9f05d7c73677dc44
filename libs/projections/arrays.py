"""Columns of a batch as binary arrays, for `unnest(%(name)b::type[], …)`.

psycopg finds out the type of each element anew; a column has one type, and packing it as that takes
half the time. The statement's cast says the type to the server.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER = struct.Struct("!iiIii")
_NULL = b"\xff\xff\xff\xff"
_LENGTH = struct.Struct("!i").pack
_INT4 = struct.Struct("!ii").pack
_INT8 = struct.Struct("!iq").pack
_FLOAT8 = struct.Struct("!id").pack
_UUID = _LENGTH(16)
_BOOLEANS = {True: b"\0\0\0\x01\x01", False: b"\0\0\0\x01\x00", None: _NULL}
# Where PostgreSQL counts time from.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST_DAY = _EPOCH.date().toordinal()


class Array(bytes):
    """A packed array."""

    __slots__ = ()


class _ArrayDumper(Dumper):
    format = Format.BINARY
    oid = 0

    def dump(self, obj: Array) -> Array:
        return obj


psycopg.adapters.register_dumper(Array, _ArrayDumper)


def _array(oid: int, elements: Sequence[bytes]) -> Array:
    if not elements:
        return Array(struct.pack("!iiI", 0, 0, oid))
    return Array(_HEADER.pack(1, 1, oid, len(elements), 1) + b"".join(elements))


def uuids(values: Iterable[UUID | None]) -> Array:
    """For `uuid[]`."""
    return _array(2950, [_NULL if v is None else _UUID + v.int.to_bytes(16, "big") for v in values])


def texts(values: Iterable[str | None]) -> Array:
    """For `text[]`, or what a text is cast to."""
    encoded = [None if v is None else v.encode() for v in values]
    return _array(25, [_NULL if v is None else _LENGTH(len(v)) + v for v in encoded])


def integers(values: Iterable[int | None]) -> Array:
    """For `int4[]`. Raises struct.error beyond its range."""
    return _array(23, [_NULL if v is None else _INT4(4, v) for v in values])


def bigints(values: Iterable[int | None]) -> Array:
    """For `int8[]`. Raises struct.error beyond its range."""
    return _array(20, [_NULL if v is None else _INT8(8, v) for v in values])


def floats(values: Iterable[float | None]) -> Array:
    """For `float8[]`."""
    return _array(701, [_NULL if v is None else _FLOAT8(8, v) for v in values])


def booleans(values: Iterable[bool | None]) -> Array:
    """For `bool[]`."""
    return _array(16, [_BOOLEANS[v] for v in values])


def times(values: Iterable[datetime]) -> Array:
    """For `timestamptz[]`, of aware moments."""
    elements = []
    for value in values:
        since = value - _EPOCH
        seconds = since.days * 86_400 + since.seconds
        elements.append(_INT8(8, seconds * 1_000_000 + since.microseconds))
    return _array(1184, elements)


def dates(values: Iterable[date]) -> Array:
    """For `date[]`."""
    return _array(1082, [_INT4(4, v.toordinal() - _FIRST_DAY) for v in values])
