"""Rest.li 2.0 syntax: URNs, List(...), time intervals and date ranges, read from raw URLs.

The structure (parentheses, colons, commas) must arrive bare and the values in it encoded; the real
API answers 400 otherwise, and so does this.
"""

import re
from datetime import UTC, date, datetime, time
from urllib.parse import unquote, unquote_plus

from fastapi import Request

from libs.simulator.linkedin.metrics import Window
from libs.simulator.wire import BadParameter, exact
from libs.simulator.world import DAY

_INTERVALS = re.compile(
    r"\(timeRange:\(start:(\d{1,14}),end:(\d{1,14})\),timeGranularityType:(DAY|MONTH)\)"
)
_DATE = r"\((?=[^)]*\bday:(?P<{0}d>\d+))(?=[^)]*\bmonth:(?P<{0}m>\d+))(?=[^)]*\byear:(?P<{0}y>\d+))[a-z0-9:,]*\)"
_DATES = re.compile(rf"\(start:{_DATE.format('s')},end:{_DATE.format('e')}\)")


def query(
    request: Request, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, str]:
    """The query's raw values by name. Raises BadParameter."""
    pairs = []
    for part in request.url.query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((unquote_plus(name), value))
    return exact(pairs, required, optional)


def plain(raw: str) -> str:
    return unquote_plus(raw)


def urn(raw: str, name: str, kind: str) -> str:
    """The id in an encoded `urn:li:<kind>:<id>`. Raises BadParameter."""
    prefix = f"urn:li:{kind}:"
    value = unquote(raw)
    if not value.startswith(prefix) or not value[len(prefix) :]:
        raise BadParameter(name, "malformed")
    return value[len(prefix) :]


def path_value(request: Request, name: str) -> str:
    """The last segment of the path as sent. Raises BadParameter if its colons are not encoded."""
    raw: bytes = request.scope.get("raw_path") or b""
    segment = raw.partition(b"?")[0].rpartition(b"/")[2].decode("ascii", "replace")
    if ":" in segment and not segment.startswith("("):
        raise BadParameter(name, "malformed")
    return segment


def items(raw: str, name: str) -> list[str]:
    """The entries of `List(a,b)`, decoded. Raises BadParameter."""
    found = re.fullmatch(r"List\((.+)\)", raw)
    if found is None or ":" in found[1]:
        raise BadParameter(name, "malformed")
    return [unquote(entry) for entry in found[1].split(",")]


def intervals(raw: str | None) -> Window | None:
    """The time range of `timeIntervals`; None when absent. Raises BadParameter."""
    if raw is None:
        return None
    found = _INTERVALS.fullmatch(raw)
    if found is None or found[3] != "DAY":
        raise BadParameter("timeIntervals", "malformed")
    start, end = (datetime.fromtimestamp(int(found[i]) / 1000, UTC) for i in (1, 2))
    if not start < end <= start + 366 * DAY:
        raise BadParameter("timeIntervals", "malformed")
    return start, end


def dates(raw: str | None) -> Window | None:
    """The window of `dateRange`, end day excluded; None when absent. Raises BadParameter."""
    if raw is None:
        return None
    found = _DATES.fullmatch(raw)
    if found is None:
        raise BadParameter("dateRange", "malformed")
    try:
        start, end = (
            date(int(found[f"{edge}y"]), int(found[f"{edge}m"]), int(found[f"{edge}d"]))
            for edge in "se"
        )
    except ValueError:
        raise BadParameter("dateRange", "malformed") from None
    if not start < end or (end - start).days > 366:
        raise BadParameter("dateRange", "malformed")
    return datetime.combine(start, time(), UTC), datetime.combine(end, time(), UTC)
