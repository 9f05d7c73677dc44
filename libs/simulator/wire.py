"""Strict reading of requests, and the refusal every platform module raises in its own shape."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

Json = dict[str, Any]
Platform = Literal["instagram", "tiktok", "linkedin", "x"]
PLATFORMS: tuple[Platform, ...] = ("instagram", "tiktok", "linkedin", "x")


@dataclass
class Refusal(Exception):
    """An answer other than success, already in the platform's own shape."""

    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class BadParameter(Exception):
    """A parameter is absent, unknown, given twice or malformed; the platform words the refusal."""

    name: str
    problem: Literal["missing", "unknown", "repeated", "malformed"]


class BadContentType(Exception):
    """The body is not of the media type the endpoint takes."""


def exact(
    pairs: Iterable[tuple[str, str]],
    required: Collection[str],
    optional: Collection[str] = (),
) -> dict[str, str]:
    """The pairs as a dict, if every required name is there once, not empty, and none is unknown.

    Raises BadParameter otherwise.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in required and name not in optional:
            raise BadParameter(name, "unknown")
        if name in found:
            raise BadParameter(name, "repeated")
        found[name] = value
    for name in required:
        if not found.get(name):
            raise BadParameter(name, "missing")
    return found


def query(
    request: Request, required: Collection[str] = (), optional: Collection[str] = ()
) -> dict[str, str]:
    """The query string, held to `exact`."""
    return exact(request.query_params.multi_items(), required, optional)


async def form(
    request: Request, required: Collection[str] = (), optional: Collection[str] = ()
) -> dict[str, str]:
    """The urlencoded body, held to `exact`. Raises BadContentType for any other media type."""
    _demand(request, "application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True)
    except UnicodeDecodeError:
        raise BadContentType from None
    return exact(pairs, required, optional)


async def json_body(request: Request) -> Json:
    """The body as a JSON object. Raises BadContentType, or BadParameter for other JSON."""
    _demand(request, "application/json")
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise BadParameter("body", "malformed") from None
    if not isinstance(body, dict):
        raise BadParameter("body", "malformed")
    return body


def _demand(request: Request, media_type: str) -> None:
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != media_type:
        raise BadContentType


def whole(value: str, name: str, low: int, high: int) -> int:
    """`value` as an integer between `low` and `high`; raises BadParameter otherwise."""
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise BadParameter(name, "malformed")
    number = int(value)
    if not low <= number <= high:
        raise BadParameter(name, "malformed")
    return number


def listed(value: str, name: str, allowed: Collection[str]) -> list[str]:
    """A comma-separated list whose every entry is allowed; raises BadParameter otherwise."""
    names = value.split(",")
    if any(entry not in allowed for entry in names):
        raise BadParameter(name, "malformed")
    return names


def bearer(request: Request) -> str | None:
    """The bearer token of the Authorization header, if there is one."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None


def loopback(url: str) -> bool:
    """Whether the URL is plain HTTP to this machine, the only place the simulator may reach."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
