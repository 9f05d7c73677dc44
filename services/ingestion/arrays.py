"""PostgreSQL's binary arrays, packed a column at a time.

psycopg packs an array element by element in Python; for the eight columns of an append that cost
more than everything else that is done for an event.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BOOL, _TEXT, _TIMESTAMPTZ, _UUID = 16, 25, 1184, 2950
_length = struct.Struct(">i").pack
_moment = struct.Struct(">iq").pack


class Packed(bytes):
    """An array as `array_recv` takes it, with lower bound 1 and no NULL; pass it as `%(name)b`.

    The statement says of what: `%(ids)b::uuid[]`.
    """

    __slots__ = ()


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Packed) -> bytes:
        return obj


psycopg.adapters.register_dumper(Packed, _PackedDumper)


def uuids(values: Sequence[UUID]) -> Packed:
    """For `uuid[]`."""
    return _pack(_UUID, len(values), _fixed([value.bytes for value in values]))


def texts(values: Sequence[bytes]) -> Packed:
    """For `text[]`; the values are UTF-8."""
    parts: list[bytes] = []
    for value in values:
        parts.append(_length(len(value)))
        parts.append(value)
    return _pack(_TEXT, len(values), parts)


def moments(values: Sequence[datetime]) -> Packed:
    """For `timestamptz[]`; the values are aware."""
    packed = [_moment(8, (value - _EPOCH) // _MICROSECOND) for value in values]
    return _pack(_TIMESTAMPTZ, len(values), packed)


def booleans(values: Sequence[bool]) -> Packed:
    """For `bool[]`."""
    return _pack(_BOOL, len(values), [_TRUE if value else _FALSE for value in values])


_TRUE, _FALSE = _length(1) + b"\x01", _length(1) + b"\x00"
_SIXTEEN = _length(16)


def _fixed(values: Sequence[bytes]) -> Iterable[bytes]:
    return (_SIXTEEN, _SIXTEEN.join(values)) if values else ()


def _pack(element: int, count: int, parts: Iterable[bytes]) -> Packed:
    # Dimensions, no NULLs, type of the elements; then of the one dimension length and lower bound.
    head = struct.pack(">iiIii", 1, 0, element, count, 1)
    return Packed(head + b"".join(parts))
