"""Packed columns arrive as PostgreSQL would have read them from psycopg's own arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from libs.projections import arrays
from libs.testing.servers import Postgres

BOSTON = timezone(timedelta(hours=-5))


@pytest.mark.parametrize(
    ("pack", "kind", "values"),
    [
        (arrays.uuids, "uuid", [uuid4(), None, UUID(int=0)]),
        (arrays.texts, "text", ["", None, "ñandú 🦤", 'a"b\\c,{}']),
        (arrays.integers, "int4", [0, None, -(2**31), 2**31 - 1]),
        (arrays.bigints, "int8", [0, None, -(2**63), 2**63 - 1]),
        (arrays.floats, "float8", [0.1, None, -1e300]),
        (arrays.booleans, "bool", [True, None, False]),
        (
            arrays.times,
            "timestamptz",
            [
                datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
                datetime(2026, 3, 2, 12, 0, 0, 1, tzinfo=BOSTON),
                datetime(9999, 12, 31, tzinfo=UTC),
                datetime(1, 1, 1, tzinfo=UTC),
            ],
        ),
        (arrays.dates, "date", [date(1, 1, 1), date(2000, 1, 1), date(9999, 12, 31)]),
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_packed_column_is_read_as_its_values(
    postgres: Postgres,
    pack: Callable[[Iterable[Any]], arrays.Array],
    kind: str,
    values: list[Any],
    empty: bool,
) -> None:
    given: list[Any] = [] if empty else values
    with psycopg.connect(postgres.url, options="-c timezone=UTC") as connection:
        found = connection.execute(
            f"SELECT value FROM unnest(%b::{kind}[]) AS value".encode(), [pack(given)]
        )
        assert [row[0] for row in found] == given


def test_a_text_that_no_column_can_hold_is_refused_by_the_database(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection, pytest.raises(psycopg.DataError):
        connection.execute("SELECT %b::text[]", [arrays.texts(["a\x00b"])])
