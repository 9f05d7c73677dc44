"""Reading other people's JSON: each function returns what it is named for, or says it is not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from libs.platforms.base import Untranslatable

LARGEST_COUNT = 2_147_483_647
LARGEST_TOTAL = 9_007_199_254_740_991
_LONGEST_ID = 255


def dig(value: Any, *path: str | int) -> Any:
    """The value at the end of a path of keys and indexes; None where the path ends early."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and len(value) > step:
            value = value[step]
        else:
            return None
    return value


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; an absent list is empty. Raises Untranslatable for other shapes."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Untranslatable("a list of objects is something else")
    return value


def identifier(value: Any) -> str | None:
    """An id as text, or None. Platforms send some as numbers."""
    if not isinstance(value, str):
        if whole(value) is None:
            return None
        value = str(value)
    return value if 0 < len(value) <= _LONGEST_ID else None


def required(value: str | None) -> str:
    if value is None:
        raise Untranslatable("a value that the event cannot be without is missing")
    return value


def text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def count(value: Any, largest: int = LARGEST_COUNT) -> int | None:
    """A number of things, or None where the platform gives none.

    Platforms write -1 for "too few to say"; that, and what is beyond `largest` (what an INTEGER
    column can hold), is None: unknown is better than wrong. Raises Untranslatable for what is no
    whole number.
    """
    if value is None:
        return None
    if (number := whole(value)) is None:
        raise Untranslatable("a count is no whole number")
    return number if 0 <= number <= largest else None


def total(values: Iterable[int | None], largest: int = LARGEST_COUNT) -> int | None:
    """The sum of what is known; None when nothing is, or when the sum is beyond `largest`."""
    known = [value for value in values if value is not None]
    return count(sum(known), largest) if known else None


def unix_time(value: Any) -> datetime | None:
    """A time from unix seconds, or from milliseconds where the number is too large for seconds."""
    if value is None:
        return None
    if (number := whole(value)) is None or number < 0:
        raise Untranslatable("a time is no unix time")
    seconds = number / 1000 if number >= 100_000_000_000 else number
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise Untranslatable("a time is out of range") from None


def iso_time(value: Any) -> datetime | None:
    """A time from ISO 8601 with a zone, in UTC."""
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise Untranslatable("a time has no zone")
        return time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Untranslatable("a time is no ISO 8601 time") from None
