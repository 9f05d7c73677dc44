"""Logs to relay: ingestion's, of webhooks from all four platforms, and accounts', of its own events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg

from libs.chassis.database import create_engine
from libs.chassis.migrate import upgrade
from libs.chassis.provision import ROLES, provision
from libs.contracts.accounts import AccountConnected, PlatformName, TokenLeased
from libs.contracts.envelope import Metadata
from libs.contracts.event import Event, encode
from libs.eventlog.log import metadata_json
from libs.platforms.tests.support import platforms
from libs.platforms.tests.webhook_samples import ACCOUNTS, SAMPLES
from libs.testing.databases import SERVICES
from services.ingestion.append import Item, append

ACCOUNTS_PER_PLATFORM = 500
ROWS_PER_COMMIT = 1_000
SEED = 20261123

_UNIQUE = "0000424242"
_TEXT = "the text of this one"
_WORDS = [
    "love",
    "this",
    "colour",
    "when",
    "is",
    "it",
    "back",
    "in",
    "stock",
    "do",
    "you",
    "ship",
    "to",
    "Portugal",
    "thanks",
    "for",
    "the",
    "quick",
    "answer",
    "I",
    "ordered",
    "two",
    "weeks",
    "ago",
    "and",
    "nobody",
    "replied",
    "olá",
    "que",
    "bonito",
    "parabéns",
    "🎉",
    "great",
    "work",
    "team",
]
_TEXT_FIELDS = {"text", "message", "caption"}
_ID_FIELDS = {"id", "comment_id", "media_id", "post_id", "parent_id", "author_id", "publish_id"}


def database(superuser_url: str, service: str) -> str:
    """A migrated database of `service`; gives the worker's URL. Blocks."""
    urls = provision(superuser_url, service, dict.fromkeys(ROLES, "bench"))
    upgrade(SERVICES / service / "migrations", urls.owner)
    return urls.worker


async def fill_ingestion(worker_url: str, count: int) -> None:
    """Write `count` rows by the service's own append, of 500 accounts of each platform."""
    owners = [
        (platform, f"{user}{number:05}", uuid4(), uuid4())
        for platform, user in ACCOUNTS.items()
        for number in range(ACCOUNTS_PER_PLATFORM)
    ]
    with psycopg.connect(worker_url) as connection:
        connection.cursor().executemany(
            "INSERT INTO account_routes"
            " (platform, platform_user_id, account_id, workspace_id, active, connected_at, xid,"
            "  position) VALUES (%s, %s, %s, %s, true, now(), 1, 1)",
            owners,
        )
    engine = create_engine(worker_url, name="bench")
    items = _items(random.Random(SEED))
    try:
        for start in range(0, count, ROWS_PER_COMMIT):
            chunk = list(islice(items, min(ROWS_PER_COMMIT, count - start)))
            async with engine.begin() as connection_:
                appended = await append(connection_, chunk)
            if appended.written != len(chunk):
                raise RuntimeError(f"{len(chunk) - appended.written} rows were not written")
    finally:
        await engine.dispose()
    _settle(worker_url)


def fill_accounts(worker_url: str, count: int) -> None:
    """Write `count` rows, five to a stream: an account connected, its token lent four times."""
    now = datetime.now(UTC)
    metadata = metadata_json(
        Metadata(actor_id=uuid4(), ip="192.0.2.7", user_agent="Mozilla/5.0", correlation_id="r-1")
    )

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(count):
            if number % 5 == 0:
                account, workspace = uuid4(), uuid4()
            event = _of_account(account, workspace, number)
            place = (uuid4(), f"account-{account}", number % 5 + 1)
            yield (*place, event.type, workspace, encode(event).decode(), metadata, now)

    with psycopg.connect(worker_url) as connection:
        connection.cursor().executemany(
            "INSERT INTO events (id, stream, version, type, workspace_id, data, metadata,"
            " occurred_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            rows(),
        )
    _settle(worker_url)


def _of_account(account: UUID, workspace: UUID, number: int) -> Event:
    if number % 5:
        return TokenLeased(
            account_id=account, workspace_id=workspace, leased_by="ingestion", purpose="poll"
        )
    return AccountConnected(
        account_id=account,
        workspace_id=workspace,
        platform="instagram",
        handle=f"shop{number}",
        platform_user_id=str(17841400000000000 + number),
        status="active",
        scopes=("instagram_business_basic", "instagram_business_manage_comments"),
    )


def _settle(worker_url: str) -> None:
    """Nothing of the filling may be left to do while the relay is measured."""
    with psycopg.connect(worker_url, autocommit=True) as connection:
        connection.execute("SELECT count(metadata) FROM events")


def _items(rng: random.Random) -> Iterator[Item]:
    """Endless items as the webhook endpoint makes them, in random order of platform and account."""
    adapters = platforms()
    templates: list[tuple[PlatformName, str, str]] = [
        (sample.platform, change.type, orjson.dumps(_open(change.payload)).decode())
        for sample in SAMPLES
        for change in adapters[sample.platform].split(sample.document)
    ]
    number = 10_000_000_000
    while True:
        number += 1
        platform, kind, template = rng.choice(templates)
        own = ACCOUNTS[platform]
        user = f"{own}{rng.randrange(ACCOUNTS_PER_PLATFORM):05}"
        words = " ".join(rng.choices(_WORDS, k=rng.randint(3, 30)))
        payload = (
            template.replace(f'"{own}"', f'"{user}"')
            .replace(_UNIQUE, str(number))
            .replace(_TEXT, words)
        )
        metadata = Metadata(
            ip="192.0.2.7",
            user_agent="Webhooks/1.0 (https://developers.example.com)",
            correlation_id=str(UUID(int=rng.getrandbits(128), version=4)),
            traceparent=f"00-{rng.getrandbits(128):032x}-{rng.getrandbits(64):016x}-00",
        )
        yield Item(
            id=UUID(int=rng.getrandbits(128), version=4),
            platform=platform,
            platform_user_id=user,
            type=kind,
            payload=payload.encode(),
            metadata=metadata_json(metadata),
            received_at=datetime.now(UTC),
        )


def _open(value: Any, field: str = "") -> Any:
    """The sample with room for a text and for ids of its own; the account's id stays."""
    if isinstance(value, dict):
        return {key: _open(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_open(inner, field) for inner in value]
    if isinstance(value, str) and field in _TEXT_FIELDS:
        return _TEXT
    if isinstance(value, str) and field in _ID_FIELDS and value not in ACCOUNTS.values():
        return value + _UNIQUE
    return value
