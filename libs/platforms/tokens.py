"""What the four token endpoints have in common: reading their answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr

from libs.platforms.base import Unavailable
from libs.platforms.shapes import dig

_LONGEST_LIFE = 100 * 366 * 86400


def secret(document: Any, name: str) -> SecretStr | None:
    """A token of the answer; None where it is missing or empty."""
    value = dig(document, name)
    return SecretStr(value) if isinstance(value, str) and value else None


def access_token(document: Any) -> SecretStr:
    """The access token; an answer without one is garbage and raises Unavailable."""
    value = secret(document, "access_token")
    if value is None:
        raise Unavailable("garbage")
    return value


def expiry(document: Any, name: str, now: datetime) -> datetime | None:
    """`now` plus the seconds of a field such as `expires_in`; None where it holds none."""
    seconds = dig(document, name)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return now + timedelta(seconds=seconds) if 0 <= seconds < _LONGEST_LIFE else None


def scopes(value: Any, default: Iterable[str]) -> tuple[str, ...]:
    """Scopes from a list, or from text with spaces or commas between; absent ones are `default`."""
    if isinstance(value, str):
        value = re.split(r"[ ,]+", value)
    if not isinstance(value, list):
        return tuple(default)
    return tuple(item for item in value if isinstance(item, str) and item)
