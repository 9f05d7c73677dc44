"""The envelope in Kafka headers: everything survives the way, and nothing else is taken."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.envelope import (
    BadEnvelope,
    Cursor,
    Envelope,
    Metadata,
    from_headers,
    read_cursor,
    to_headers,
)

cursors = st.builds(Cursor, st.integers(0, 2**64 - 1), st.integers(0, 2**63 - 1))
words = st.text(min_size=1, max_size=40)
times = st.datetimes(timezones=st.just(UTC))
metadata = st.builds(
    Metadata,
    actor_id=st.none() | st.uuids(),
    ip=st.none() | st.ip_addresses().map(str),
    user_agent=st.none() | words,
    correlation_id=st.none() | words,
    causation_id=st.none() | words,
    traceparent=st.none() | words,
)
envelopes = st.builds(
    Envelope,
    id=st.uuids(),
    type=words,
    source=words,
    time=times,
    stream=words,
    workspace_id=st.none() | st.uuids(),
    cursor=cursors,
    previous=cursors,
    metadata=metadata,
)

PLAIN = Envelope(
    id=UUID(int=1),
    type="accounts.account_connected.v2",
    source="accounts",
    time=datetime(2026, 1, 1, tzinfo=UTC),
    stream="account-1",
    workspace_id=None,
    cursor=Cursor(10, 20),
)


@given(envelope=envelopes)
def test_an_envelope_comes_back_as_it_went(envelope: Envelope) -> None:
    assert from_headers(to_headers(envelope)) == envelope


@given(envelope=envelopes, own=st.lists(st.tuples(st.text(min_size=1), st.binary())))
def test_headers_of_others_are_ignored(envelope: Envelope, own: list[tuple[str, bytes]]) -> None:
    foreign = [(f"other-{name}", value) for name, value in own]
    assert from_headers([*foreign, *to_headers(envelope), *foreign]) == envelope


@pytest.mark.parametrize(
    "name",
    ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_subject", "rk_cursor"],
)
def test_a_missing_header_is_a_bad_envelope(name: str) -> None:
    with pytest.raises(BadEnvelope):
        from_headers([header for header in to_headers(PLAIN) if header[0] != name])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_specversion", b"0.3"),
        ("ce_id", b"1"),
        ("ce_type", b""),
        ("ce_type", b"\xff"),
        ("ce_time", b"yesterday"),
        ("ce_time", b"2026-01-01T00:00:00"),
        ("rk_workspace", b"mine"),
        ("rk_actor", b"\x00"),
        ("rk_user_agent", b"\xff"),
        ("rk_cursor", b"1:2"),
        ("rk_cursor", b"1:2 3"),
        ("rk_cursor", b"1:2 3:4 5:6"),
        ("rk_cursor", b"a:b c:d"),
        ("rk_cursor", b"\xff"),
    ],
)
def test_a_header_that_says_nothing_sensible_is_a_bad_envelope(name: str, value: bytes) -> None:
    with pytest.raises(BadEnvelope):
        from_headers([*to_headers(PLAIN), (name, value)])


@given(
    headers=st.lists(
        st.tuples(st.sampled_from([name for name, _ in to_headers(PLAIN)]), st.binary(max_size=40))
    )
)
def test_whatever_the_headers_only_bad_envelope_is_raised(
    headers: list[tuple[str, bytes]],
) -> None:
    try:
        from_headers([*to_headers(PLAIN), *headers])
    except BadEnvelope:
        return


def test_the_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(BadEnvelope) as refused:
        from_headers([*to_headers(PLAIN), ("ce_id", b"canary")])
    assert "canary" not in str(refused.value)


@given(first=cursors, second=cursors)
def test_cursors_are_ordered_by_transaction_and_then_position(
    first: Cursor, second: Cursor
) -> None:
    assert Cursor.parse(str(first)) == first
    assert (first < second) == ((first.xid, first.position) < (second.xid, second.position))
    assert read_cursor(f"{first} {second}".encode()) == (first, second)
