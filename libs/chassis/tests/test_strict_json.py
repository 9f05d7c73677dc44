"""Every poison that the standard parser lets through."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.chassis.strict_json import MAX_DEPTH, BadJson, loads


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a": "\\u0000"}', "nul-character"),
        (b'{"\\u0000": 1}', "nul-character"),
        (b'["\\ud800"]', "lone-surrogate"),
        (b'{"\\udfff": 1}', "lone-surrogate"),
        (b"NaN", "not-a-number"),
        (b'{"a": -Infinity}', "not-a-number"),
        (b"1e400", "number-too-large"),
        (b"1e131071", "number-too-large"),
        (b"-1e301", "number-too-large"),
        (b"9" * 5_000, "number-too-large"),
        (b"9223372036854775808", "number-too-large"),
        (b'{"a": 1, "a": 2}', "duplicate-key"),
        (b'{"b": {"a": 1, "\\u0061": 2}}', "duplicate-key"),
        (b"[" * 100_000, "too-deep"),
        (b"[" * 100_000 + b"]" * 100_000, "too-deep"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "too-deep"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "too-deep"),
        (b'"\xff"', "not-utf-8"),
        ("{}".encode("utf-16"), "not-utf-8"),
        (b"\xef\xbb\xbf{}", "not-utf-8"),
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"{} {}", "not-json"),
        (b'{"a": 01}', "not-json"),
        (b'"raw \x00"', "not-json"),
    ],
)
def test_poison_is_refused_by_name(body: bytes, reason: str) -> None:
    with pytest.raises(BadJson) as refusal:
        loads(body)
    assert refusal.value.reason == reason


def test_sixty_four_levels_are_taken() -> None:
    document = loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert json.dumps(document).count("[") == MAX_DEPTH


def test_a_surrogate_pair_is_one_character() -> None:
    assert loads(b'"\\ud83d\\ude00"') == "\U0001f600"


_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
_DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(-1e300, 1e300, allow_nan=False)
    | _TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner),
    max_leaves=20,
)


@given(_DOCUMENTS, st.booleans())
def test_everything_else_reads_as_the_standard_parser_does(document: Any, ascii_only: bool) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert loads(body) == json.loads(body)
    assert not (isinstance(document, float) and math.isnan(document))
