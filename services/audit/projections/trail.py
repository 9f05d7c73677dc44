"""Every event of every topic as an entry of the trail."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Literal, get_origin
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Imported for what they register: an event can be read only when its contract is known.
from libs.contracts import accounts, identity, ingestion
from libs.contracts.event import Event
from libs.projections.arrays import Array, texts, times, uuids
from libs.projections.reader import Poisoned, Reader, Received

OWNERS = (identity, accounts, ingestion)
TOPICS = tuple(f"{owner.__name__.rpartition('.')[2]}.events" for owner in OWNERS)

_INSERT = """
INSERT INTO audit_logs (id, workspace_id, actor_id, action, entity_type, entity_id, "timestamp",
  ip_address, user_agent, service, correlation_id, details)
SELECT id, workspace_id, actor_id, action, entity_type, entity_id, at, ip::inet, user_agent,
  service, correlation_id, details::jsonb
FROM unnest(%(id)b::uuid[], %(workspace_id)b::uuid[], %(actor_id)b::uuid[], %(action)b::text[],
  %(entity_type)b::text[], %(entity_id)b::uuid[], %(timestamp)b::timestamptz[],
  %(ip_address)b::text[], %(user_agent)b::text[], %(service)b::text[],
  %(correlation_id)b::text[], %(details)b::text[])
  AS e (id, workspace_id, actor_id, action, entity_type, entity_id, at, ip, user_agent, service,
        correlation_id, details)
ON CONFLICT (id) DO NOTHING
"""
_OWNERS_OF_ACCOUNTS = """
SELECT entity_id, workspace_id FROM audit_logs
WHERE action = 'account.connected' AND entity_id = ANY(%(accounts)b::uuid[])
"""
_COLUMNS = (
    'id, workspace_id, actor_id, action, entity_type, entity_id, "timestamp", ip_address,'
    " user_agent, service, correlation_id, details"
)


_PACKED: Mapping[str, Callable[[Iterable[Any]], Array]] = {
    **dict.fromkeys(("id", "workspace_id", "actor_id", "entity_id"), uuids),
    **dict.fromkeys(("action", "entity_type", "ip_address", "user_agent", "service"), texts),
    **dict.fromkeys(("correlation_id", "details"), texts),
    "timestamp": times,
}


class NoEntity(ValueError):
    """The stream is not `<type>-<uuid>`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of `audit_logs`; `details` is JSON."""

    id: UUID
    workspace_id: UUID | None
    actor_id: UUID | None
    action: str
    entity_type: str
    entity_id: UUID
    timestamp: datetime
    ip_address: str | None
    user_agent: str | None
    service: str
    correlation_id: str | None
    details: str


def entry(item: Received[Event]) -> Entry:
    """What an event is in the trail. Pure. Raises NoEntity.

    `accounts.account_connected.v2` of stream `account-<id>` is `account.connected` of that
    account. Actor, address and user agent are those of the request that caused it; a platform's
    event has none.
    """
    service, action = name_of(item.event.type)
    envelope = item.envelope
    entity_type, entity_id = _entity(envelope.stream)
    return Entry(
        id=envelope.id,
        workspace_id=envelope.workspace_id,
        actor_id=envelope.metadata.actor_id,
        action=action,
        entity_type=entity_type,
        entity_id=entity_id,
        timestamp=envelope.time,
        ip_address=_address(envelope.metadata.ip),
        user_agent=_text(envelope.metadata.user_agent),
        service=service,
        correlation_id=_text(envelope.metadata.correlation_id),
        details=orjson.dumps(details(item.event)).decode(),
    )


@lru_cache(maxsize=4_096)
def _entity(stream: str) -> tuple[str, UUID]:
    kind, _, id_ = stream.partition("-")
    try:
        return kind, UUID(id_)
    except ValueError:
        raise NoEntity from None


@lru_cache(maxsize=1_024)
def name_of(wire_type: str) -> tuple[str, str]:
    """Service and action: `identity.member_role_changed.v1` → `identity`, `member.role_changed`."""
    service, name, _ = wire_type.split(".")
    return service, name.replace("_", ".", 1)


@cache
def _kept(event: type[Event]) -> tuple[str, ...]:
    """The fields that cannot hold personal text: ids of ours, yes or no, one of a fixed few."""
    return tuple(
        name
        for name, field in event.model_fields.items()
        if name != "workspace_id"
        and (field.annotation in (UUID, bool) or get_origin(field.annotation) is Literal)
    )


def details(event: Event) -> Mapping[str, Any]:
    """What of the event the trail keeps. By type, so that no name, text or address gets in."""
    return {name: getattr(event, name) for name in _kept(type(event))}


@lru_cache(maxsize=4_096)
def _address(ip: str | None) -> str | None:
    """An address that the column can hold; a proxy may have written anything."""
    try:
        return str(ipaddress.ip_address((ip or "").partition("%")[0]))
    except ValueError:
        return None


def _text(value: str | None) -> str | None:
    return value.replace("\x00", "") if value else None


async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """One entry per event, however often it comes.

    Raises Poisoned for events whose stream names no entity, or whose workspace is not the one in
    which our own trail saw the account connected.
    """
    entries: list[Entry] = []
    refused: dict[UUID, str] = {}
    for item in batch:
        said = getattr(item.event, "workspace_id", item.envelope.workspace_id)
        if _number(said) != _number(item.envelope.workspace_id):
            refused[item.envelope.id] = "forged tenant"
            continue
        try:
            entries.append(entry(item))
        except NoEntity:
            refused[item.envelope.id] = "the stream names no entity"
    refused |= await _forged(connection, entries)
    if refused:
        raise Poisoned(refused)
    await connection.exec_driver_sql(
        _INSERT,
        {name: pack(getattr(row, name) for row in entries) for name, pack in _PACKED.items()},
    )


async def _forged(connection: AsyncConnection, entries: Sequence[Entry]) -> dict[UUID, str]:
    about = [item for item in entries if item.entity_type == "account"]
    # By number, which hashes and compares many times faster than a UUID does.
    accounts = {item.entity_id.int: item.entity_id for item in about}
    found = await connection.exec_driver_sql(
        _OWNERS_OF_ACCOUNTS, {"accounts": uuids(accounts.values())}
    )
    owners = {row.entity_id.int: _number(row.workspace_id) for row in found}
    forged = {}
    for item in about:
        said, account = _number(item.workspace_id), item.entity_id.int
        if item.action == "account.connected":
            owners.setdefault(account, said)
        if owners.get(account, said) != said:
            forged[item.id] = "forged tenant"
    return forged


def _number(id_: UUID | None) -> int | None:
    return None if id_ is None else id_.int


# Without tables: nothing may empty the trail, and a second run over a topic adds nothing.
READER = Reader("audit.trail", TOPICS, None, apply)


async def newest_first(
    connection: AsyncConnection,
    workspace_id: UUID,
    *,
    action: str | None,
    actor: UUID | None,
    since: datetime | None,
    until: datetime | None,
    after: tuple[Any, ...] | None,
    limit: int,
) -> Sequence[Any]:
    """Entries from `since` up to but not including `until`, behind `after` (timestamp, id)."""
    conditions: dict[str, dict[str, Any]] = {
        "workspace_id = :workspace": {"workspace": workspace_id},
        "action = :action": {"action": action},
        "actor_id = :actor": {"actor": actor},
        '"timestamp" >= :since': {"since": since},
        '"timestamp" < :until': {"until": until},
        '("timestamp", id) < (:after_time, :after_id)': {
            "after_time": after and after[0],
            "after_id": after and after[1],
        },
    }
    asked = {sql: given for sql, given in conditions.items() if None not in given.values()}
    values = {name: value for given in asked.values() for name, value in given.items()}
    statement = text(
        f"SELECT {_COLUMNS} FROM audit_logs WHERE {' AND '.join(asked)}"
        ' ORDER BY "timestamp" DESC, id DESC LIMIT :limit'
    )
    return (await connection.execute(statement, values | {"limit": limit})).all()
