"""From a request of a platform to a delivery: prove the sender, read the body, split it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import NamedTuple

import orjson
from prometheus_client import Counter
from pydantic import SecretStr

from libs.chassis import strict_json
from libs.chassis.errors import NotFound, Problem, Unavailable
from libs.chassis.foundation import Foundation
from libs.contracts.accounts import PlatformName
from libs.contracts.envelope import Metadata
from libs.platforms.base import BadSignature, Change, Platform, Unsplittable
from services.ingestion.append import Item, event_id
from services.ingestion.group_commit import Appender, Delivery
from services.ingestion.listing import deletion_known
from services.ingestion.quarantine import Refused, body_id, refused

WEBHOOKS = Counter("rookery_ingestion_webhooks_total", "Webhook requests", ["platform", "outcome"])
# What a person needs to check a refused body by hand.
_KEPT_HEADERS = {
    name.encode(): name
    for name in (
        "content-type",
        "user-agent",
        "x-hub-signature-256",
        "tiktok-signature",
        "x-li-signature",
        "x-twitter-webhooks-signature",
    )
}
# These must arrive although the account was disconnected.
_EVEN_DISCONNECTED = {"deauthorize", "data_deletion"}


class NotThePlatform(Problem):
    """The same answer whatever is wrong, so that it teaches a forger nothing."""

    status = 401
    slug = "bad-signature"
    title = "The signature does not verify"


class _Frame(NamedTuple):
    """What all items of one request share."""

    platform: PlatformName
    headers: Mapping[str, str]
    metadata: str
    received_at: datetime

    def whole(self, body: bytes, reason: str) -> Delivery:
        """The body, set aside as it came."""
        row = Refused(
            id=body_id(self.platform, body),
            platform=self.platform,
            reason=reason,
            body=body,
            headers=self._headers(),
            metadata=self.metadata,
            received_at=self.received_at,
        )
        return Delivery((), (row,))

    def split(self, changes: Sequence[Change]) -> Delivery:
        """The items, those that name no account set aside alone."""
        items = [self._item(change, change.platform_user_id or "") for change in changes]
        nameless = [
            replace(refused(item, "no-account", self._headers()), platform_user_id=None)
            for item in items
            if not item.platform_user_id
        ]
        if nameless:
            items = [item for item in items if item.platform_user_id]
        return Delivery(items, nameless)

    def _headers(self) -> str:
        return orjson.dumps(self.headers).decode()

    def _item(self, change: Change, whose: str) -> Item:
        return Item(
            event_id(self.platform, whose, change.key),
            self.platform,
            whose,
            change.type,
            orjson.dumps(change.payload),
            self.metadata,
            self.received_at,
            change.type in _EVEN_DISCONNECTED,
        )


def kept(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Of a request's raw headers those that prove it, by their names in lower case."""
    return {
        _KEPT_HEADERS[name]: value.decode("latin-1")
        for name, value in headers
        if name in _KEPT_HEADERS
    }


def read(
    platform: Platform,
    headers: Mapping[str, str],
    body: bytes,
    metadata: Metadata,
    received_at: datetime,
) -> Delivery:
    """What a body with a valid signature holds; never raises for what stands in it.

    `headers` are those of `kept`.

    A body that is no document of the platform is set aside whole, with its raw bytes; an item that
    names no account is set aside alone.
    """
    frame = _Frame(platform.facts.name, headers, _trace(metadata), received_at)
    try:
        document = strict_json.loads(body)
        if not isinstance(document, dict):
            return frame.whole(body, "not-an-object")
        return frame.split(platform.split(document))
    except strict_json.BadJson as error:
        return frame.whole(body, error.reason)
    except Unsplittable:
        return frame.whole(body, "not-a-webhook")


def read_callback(
    platform: PlatformName, change: Change, metadata: Metadata, received_at: datetime
) -> Delivery:
    """The same for a single item that came in another form; its sender is proven already."""
    frame = _Frame(platform, {}, _trace(metadata), received_at)
    payload = orjson.dumps(change.payload)
    try:
        strict_json.loads(payload)
    except strict_json.BadJson as error:
        return frame.whole(payload, error.reason)
    return frame.split([change])


def _trace(metadata: Metadata) -> str:
    """Nobody of ours did it, so only what joins it to the request is kept."""
    joining = {"correlation_id": metadata.correlation_id, "traceparent": metadata.traceparent}
    return orjson.dumps({key: value for key, value in joining.items() if value}).decode()


class Webhooks:
    """Receives what platforms send.

    `instagram_secrets` prove its callbacks, as they do its webhooks. `public_url` is the gateway's.
    """

    def __init__(
        self,
        foundation: Foundation,
        platforms: Mapping[PlatformName, Platform],
        appender: Appender,
        *,
        instagram_secrets: Sequence[SecretStr],
        public_url: str,
    ) -> None:
        self._worker = foundation.worker
        self._clock = foundation.clock
        self._platforms = {str(name): platform for name, platform in platforms.items()}
        self._appender = appender
        self._instagram_secrets = instagram_secrets
        self._public_url = public_url.rstrip("/")
        for name in platforms:
            for outcome in ("accepted", "set-aside", "bad-signature", "unavailable"):
                _counter(name, outcome)  # shown as 0: the first would not be an increase otherwise

    def platform(self, name: str) -> Platform:
        """The platform of an address; raises NotFound."""
        if name not in self._platforms:
            raise NotFound("There is no such platform")
        return self._platforms[name]

    async def receive(
        self, platform: Platform, headers: Mapping[str, str], body: bytes, metadata: Metadata
    ) -> None:
        """Return once all of a signed body is in the log, or set aside.

        `headers` are those of `kept`. Raises NotThePlatform, leaving no trace in the database, or
        Unavailable.
        """
        now = self._clock.now()
        name = platform.facts.name
        try:
            platform.verify(headers, body, now)
        except BadSignature:
            raise _forged(name) from None
        await self._submit(name, read(platform, headers, body, metadata, now))

    async def receive_callback(
        self,
        prove: Callable[[str, Sequence[SecretStr]], Change],
        form_value: str,
        metadata: Metadata,
    ) -> Change:
        """The same for a callback of Instagram, which `prove` reads."""
        try:
            change = prove(form_value, self._instagram_secrets)
        except BadSignature:
            raise _forged("instagram") from None
        now = self._clock.now()
        await self._submit("instagram", read_callback("instagram", change, metadata, now))
        return change

    def deletion_url(self, code: str) -> str:
        """Where a person can look after their request for deletion."""
        return f"{self._public_url}/webhooks/instagram/data-deletion/{code}"

    async def deletion_known(self, code: str) -> bool:
        """Whether such a request ever came."""
        async with self._worker.connect() as connection:
            return await deletion_known(connection, code)

    async def _submit(self, platform: PlatformName, delivery: Delivery) -> None:
        try:
            await self._appender.submit(delivery)
        except Unavailable:
            _counter(platform, "unavailable").inc()
            raise
        _counter(platform, "set-aside" if delivery.refused else "accepted").inc()


@cache
def _counter(platform: PlatformName, outcome: str) -> Counter:
    """The counter of one outcome: to find it by its labels costs three times the counting."""
    return WEBHOOKS.labels(platform, outcome)


def _forged(platform: PlatformName) -> NotThePlatform:
    _counter(platform, "bad-signature").inc()
    return NotThePlatform()
