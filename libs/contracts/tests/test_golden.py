"""Every event that was ever written must be read for ever."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import orjson
import pytest
from pydantic import ValidationError

import libs.contracts
from libs.contracts.accounts import AccountConnected
from libs.contracts.event import (
    Event,
    UnknownEventType,
    all_events,
    current_type,
    decode,
    encode,
    upcaster_types,
    upcasts,
    wire_types,
)

for module in pkgutil.iter_modules(libs.contracts.__path__, "libs.contracts."):
    if not module.ispkg:
        importlib.import_module(module.name)

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = {path.stem: path.read_bytes() for path in sorted(GOLDEN.glob("*.json"))}
# Other tests of the same process may have declared events of their own.
EVENTS = {
    name: event
    for name, event in all_events().items()
    if re.fullmatch(r"libs\.contracts\.[a-z_]+", event.__module__)
}
OLD = {name for name in upcaster_types() if current_type(name) in EVENTS}
IRREGULAR = {"lost", "became", "sent"}


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_event_has_a_sample_of_nothing_but_its_fields(name: str) -> None:
    assert set(orjson.loads(SAMPLES[name])) <= set(EVENTS[name].model_fields)


def test_every_outdated_version_has_a_sample() -> None:
    assert not OLD - set(SAMPLES)


def test_no_event_that_has_a_sample_was_dropped() -> None:
    assert set(SAMPLES) == set(EVENTS) | OLD


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_sample_is_read_as_the_newest_version_of_its_event(name: str) -> None:
    assert type(decode(name, SAMPLES[name])) is EVENTS[current_type(name)]


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_sample_is_written_again_as_it_was(name: str) -> None:
    sample = orjson.loads(SAMPLES[name])
    written = orjson.loads(encode(decode(name, SAMPLES[name])))
    # An optional field added since is written too, and changes nothing of the rest.
    assert {field: written[field] for field in sample} == sample
    assert decode(name, orjson.dumps(written)) == decode(name, SAMPLES[name])


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_unknown_field_is_ignored(name: str) -> None:
    more = {**orjson.loads(SAMPLES[name]), "added_later": 1}
    assert decode(name, orjson.dumps(more)) == decode(name, SAMPLES[name])


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_event_is_named_in_the_past_tense_by_its_owner(name: str) -> None:
    event = EVENTS[name]
    owner, words, _ = name.split(".")
    assert owner == event.__module__.rpartition(".")[2]
    assert words == re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()
    assert any(word.endswith("ed") or word in IRREGULAR for word in words.split("_"))


def test_the_first_version_of_account_connected_is_upcast() -> None:
    event = decode("accounts.account_connected.v1", SAMPLES["accounts.account_connected.v1"])
    assert isinstance(event, AccountConnected)
    assert event.scopes == ("instagram_business_basic", "instagram_business_manage_insights")
    assert (event.status, event.missing_scopes) == ("active", ())


def test_the_wire_types_of_an_event_include_its_old_ones() -> None:
    assert wire_types(AccountConnected) == {
        "accounts.account_connected.v1",
        "accounts.account_connected.v2",
    }


def test_an_unknown_type_or_version_is_said_to_be_unknown() -> None:
    for name in ("accounts.account_connected.v99", "nobody.nothing_happened.v1", ""):
        with pytest.raises(UnknownEventType):
            decode(name, b"{}")


@pytest.mark.parametrize("name", sorted(EVENTS))
@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"{", b'{"account_id":"\xff"}'])
def test_data_that_break_the_contract_are_refused(name: str, data: bytes) -> None:
    with pytest.raises(ValidationError):
        decode(name, data)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "-1", "2147483648"])
def test_a_count_that_is_no_column_value_is_refused(number: str) -> None:
    name = "ingestion.account_metrics_observed.v1"
    sample = orjson.loads(SAMPLES[name])
    data = orjson.dumps({**sample, "reach": "@"}).replace(b'"@"', number.encode())
    with pytest.raises(ValidationError):
        decode(name, data)


def test_a_type_is_declared_once_and_in_the_right_form() -> None:
    with pytest.raises(TypeError):
        type("Again", (Event,), {}, type="accounts.account_connected.v2")
    with pytest.raises(TypeError):
        type("Formless", (Event,), {}, type="AccountConnected")
    with pytest.raises(TypeError):
        upcasts("accounts.account_connected.v1", "accounts.account_connected.v2")(dict)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_an_event_is_written_as_pydantic_would_write_it(name: str) -> None:
    event = decode(name, SAMPLES[name])
    assert encode(event).decode() == event.model_dump_json()
