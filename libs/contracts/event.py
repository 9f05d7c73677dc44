"""What an event is, how it is named on the wire, and how an old version is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict

_TYPE = re.compile(r"^[a-z]+\.[a-z0-9_]+\.v[1-9][0-9]*$")
_CURRENT: dict[str, type[Event]] = {}
_UPCASTERS: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}


class UnknownEventType(ValueError):
    """No class and no upcaster is registered for this wire type."""


class Value(BaseModel):
    """A part of an event: frozen, finite numbers, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Event(Value):
    """A fact of the past, named in the past tense, that others may rely on for ever.

    A subclass gives its wire type: `class AccountConnected(Event, type="accounts.account_connected.v1")`.
    Adding an optional field is free. Anything else is a new version and an upcaster (`upcasts`).
    Unknown fields are ignored when reading, so an old reader survives a newer writer.
    """

    type: ClassVar[str]

    def __init_subclass__(cls, type: str | None = None, **kwargs: Any) -> None:  # noqa: A002
        super().__init_subclass__(**kwargs)
        if type is None:  # an intermediate base
            return
        if not _TYPE.match(type):
            raise TypeError(f"{cls.__name__}: {type!r} is not <service>.<past_tense>.v<n>")
        if type in _CURRENT or type in _UPCASTERS:
            raise TypeError(f"{type} is declared twice")
        cls.type = type
        _CURRENT[type] = cls


def upcasts(old: str, new: str) -> Callable[[Callable[[dict[str, Any]], dict[str, Any]]], Any]:
    """Register a function that turns the data of wire type `old` into the data of `new`.

    Chains are followed, so each version needs only the step to its successor. The function gets
    decoded JSON and returns new data; it must be pure.
    """

    def register(
        step: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> Callable[[dict[str, Any]], dict[str, Any]]:
        if old in _CURRENT or old in _UPCASTERS:
            raise TypeError(f"{old} is declared twice")
        _UPCASTERS[old] = (new, step)
        return step

    return register


def current_type(wire_type: str) -> str:
    """The newest wire type that `wire_type` is read as (itself, if it is the newest)."""
    while wire_type in _UPCASTERS:
        wire_type = _UPCASTERS[wire_type][0]
    return wire_type


def wire_types(*events: type[Event]) -> frozenset[str]:
    """All wire types, old ones included, that are read as one of the given classes."""
    wanted = {event.type for event in events}
    old = {name for name in _UPCASTERS if current_type(name) in wanted}
    return frozenset(wanted | old)


def all_events() -> dict[str, type[Event]]:
    """Every current event class by wire type (of the contract modules imported so far)."""
    return dict(_CURRENT)


def upcaster_types() -> frozenset[str]:
    """Every outdated wire type that can still be read."""
    return frozenset(_UPCASTERS)


def decode(wire_type: str, data: bytes) -> Event:
    """The event that JSON `data` of `wire_type` says, upcast to its newest version.

    Raises UnknownEventType, or pydantic.ValidationError when the data break the contract.
    """
    event_class = _CURRENT.get(wire_type)
    if event_class is not None:
        event: Event = event_class.__pydantic_validator__.validate_json(data)
        return event
    newest = current_type(wire_type)
    if newest not in _CURRENT:
        raise UnknownEventType(wire_type)
    document = orjson.loads(data)
    while wire_type in _UPCASTERS:
        wire_type, step = _UPCASTERS[wire_type]
        document = step(document)
    return _CURRENT[newest].model_validate_json(orjson.dumps(document))


def encode(event: Event) -> bytes:
    """The event's data as compact JSON, in the form that pydantic gives it.

    Straight from the validated values, which takes a third of the time; an event therefore has no
    serializers of its own.
    """
    return orjson.dumps(event.__dict__, default=_part, option=orjson.OPT_UTC_Z)


def _part(value: Any) -> dict[str, Any]:
    if isinstance(value, Value):
        return value.__dict__
    raise TypeError(f"an event cannot hold a {type(value).__name__}")
