"""How the Graph API refuses, and what its headers say of the pace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson

from libs.platforms.base import (
    PlatformError,
    RateLimited,
    ReconnectRequired,
    Rejected,
    Unavailable,
)
from libs.platforms.http import Answer
from libs.platforms.shapes import dig, whole

VERSION = "v25.0"

_THROTTLED = {4, 17, 32, 613, 80002}
_TRANSIENT = {1, 2}
# 4 with this subcode is a block for spam, which waiting does not lift.
_SPAM = 2207051
_DEAD_TOKEN = 190
_DEAD_BECAUSE = {458: "app-removed", 460: "password-changed", 463: "expired", 467: "invalid"}
_REJECTED = {368: "blocked"}
_DEFAULT_WAIT = timedelta(minutes=15)
_HIGH_USAGE = 0.8
_EASE_OFF = timedelta(minutes=10)


def refusal(answer: Answer) -> PlatformError:
    """What a reply below 500 means: by error code, for Instagram throttles with HTTP 400 or 403."""
    error = dig(answer.document, "error")
    code, subcode = whole(dig(error, "code")), whole(dig(error, "error_subcode"))
    if subcode == _SPAM:
        return Rejected("spam-blocked")
    if code in _THROTTLED or answer.status == 429:
        return RateLimited(_regained(answer) or _DEFAULT_WAIT)
    if code == _DEAD_TOKEN or answer.status == 401:
        return ReconnectRequired(_DEAD_BECAUSE.get(subcode or 0, "token-dead"))
    if code in _TRANSIENT or dig(error, "is_transient") is True:
        return Unavailable("transient")
    permission = code == 10 or (code is not None and 200 <= code <= 299)
    return Rejected("not-permitted" if permission else _REJECTED.get(code or 0, "refused"))


def not_before(answer: Answer, now: datetime) -> datetime | None:
    """When to call again, by the usage headers: they count in per cent of the budget."""
    wait = _regained(answer)
    if wait:
        return now + wait
    return now + _EASE_OFF if used_share(answer) >= _HIGH_USAGE else None


def used_share(answer: Answer) -> float:
    """How much of the busiest budget is used, 0 to 1 and above; 0 where nothing is said of it."""
    names = ("call_count", "total_time", "total_cputime")
    used = [dig(usage, name) for usage in _usages(answer) for name in names]
    return max((value for value in used if isinstance(value, int | float)), default=0) / 100


def _regained(answer: Answer) -> timedelta | None:
    """The longest time until access is regained that the headers name; None when none is."""
    minutes = [dig(usage, "estimated_time_to_regain_access") for usage in _usages(answer)]
    longest = max((value for value in minutes if isinstance(value, int)), default=0)
    return timedelta(minutes=min(longest, 24 * 60)) if longest > 0 else None


def _usages(answer: Answer) -> Iterator[Any]:
    yield _header(answer, "x-app-usage")
    by_account = _header(answer, "x-business-use-case-usage")
    if isinstance(by_account, dict):
        for usages in by_account.values():
            if isinstance(usages, list):
                yield from usages


def _header(answer: Answer, name: str) -> Any:
    try:
        return orjson.loads(answer.headers.get(name, "null"))
    except ValueError:
        return None
