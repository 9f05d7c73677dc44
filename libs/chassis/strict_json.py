"""JSON as PostgreSQL and a careful reader can hold it; everything else is refused by name.

The standard parser accepts duplicate keys, NaN, UTF-16, lone surrogates and 5,000-digit integers;
jsonb refuses some of them and silently changes others. What passes here survives a jsonb column.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import orjson

MAX_DEPTH = 64
MAX_INTEGER_DIGITS = 19
MAX_FLOAT_LENGTH = 64


class BadJson(ValueError):
    """`reason` is a short slug; the value itself is never repeated."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise BadJson("duplicate-key")
    return document


def _integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS + 1:
        raise BadJson("number-too-large")
    value = int(digits)
    if not -(2**63) <= value < 2**63:
        raise BadJson("number-too-large")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if len(digits) > MAX_FLOAT_LENGTH or not math.isfinite(value) or abs(value) > 1e300:
        raise BadJson("number-too-large")
    return value


def _constant(_: str) -> NoReturn:
    raise BadJson("not-a-number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def loads(body: bytes) -> Any:
    """The document in `body`, which must be UTF-8 without a byte order mark.

    Quick for a document in its shortest spelling, as programs write them. Raises BadJson: `not-utf-8`, `not-json`, `too-deep` (more than 64 levels), `duplicate-key`,
    `number-too-large`, `not-a-number`, `nul-character` or `lone-surrogate`.
    """
    document = _shortest(body)
    return _read(body) if document is None else document


def _shortest(body: bytes) -> Any:
    """The document when `body` is its shortest spelling and nothing in it needs a closer look.

    Written again, a document with a duplicate key, an odd number or another encoding is not what it
    was. What is the same both ways has none of them but NUL (an escape), floats from 1e300 on
    (which have these characters) and depth. Three to four times as fast as the reader below.
    """
    if b"\\u" in body or b"e30" in body or body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        return None
    try:
        document = orjson.loads(body)
        same = orjson.dumps(document, option=orjson.OPT_STRICT_INTEGER) == body
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return document if same else None


def _read(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadJson("not-utf-8") from None
    if text.startswith("\ufeff"):
        raise BadJson("not-utf-8")
    try:
        document = _DECODER.decode(text)
    except BadJson:
        raise
    except RecursionError:
        raise BadJson("too-deep") from None
    except ValueError:
        raise BadJson("not-json") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:  # otherwise it cannot be that deep
        _check_depth(document)
    if b"\\u" in body or b"\x00" in body:  # only an escape can hide one of these
        _check_text(document)
    return document


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    if any(isinstance(node, (dict, list)) for node in level):
        raise BadJson("too-deep")


def _children(node: Any) -> Any:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _check_text(document: Any) -> None:
    stack = [document]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            if "\x00" in node:
                raise BadJson("nul-character")
            try:
                node.encode("utf-8")
            except UnicodeEncodeError:
                raise BadJson("lone-surrogate") from None
        elif isinstance(node, dict):
            stack.extend(node)
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
