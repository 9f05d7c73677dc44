"""Keyset pagination: a cursor names the last row seen, so that pages neither skip nor repeat."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Query
from pydantic import BaseModel

from libs.chassis.errors import Unprocessable

Item = TypeVar("Item")
Limit = Annotated[int, Query(ge=1, le=500)]
CursorParameter = Annotated[str | None, Query(max_length=512)]


class Page(BaseModel, Generic[Item]):
    """One page; `next_cursor` is null on the last."""

    items: list[Item]
    next_cursor: str | None


def encode_cursor(*values: Any) -> str:
    """An opaque cursor of the sort key's values (strings, numbers, dates, UUIDs)."""
    return base64.urlsafe_b64encode(orjson.dumps(values, default=str)).rstrip(b"=").decode()


def decode_cursor(cursor: str, *types: Callable[[Any], Any]) -> tuple[Any, ...]:
    """The values again, each through its type. Raises Unprocessable."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        values = orjson.loads(raw)
        if not isinstance(values, list) or len(values) != len(types):
            raise ValueError
        return tuple(
            None if value is None else kind(value)
            for kind, value in zip(types, values, strict=True)
        )
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise Unprocessable("The cursor is not one of ours", field="cursor") from None


def page_of(
    rows: Sequence[Any], limit: int, key: Callable[[Any], Sequence[Any]]
) -> tuple[list[Any], str | None]:
    """Split `limit + 1` fetched rows into the page and the cursor of the next one."""
    page = list(rows[:limit])
    more = len(rows) > limit
    return page, encode_cursor(*key(page[-1])) if more else None
