"""LinkedIn's webhooks: challenge, signature over a prefixed body, notifications of organisations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from libs.platforms.base import BadSignature, Change, Credentials, HandshakeReply, Unsplittable
from libs.platforms.shapes import identifier
from libs.platforms.signing import answer, check, fingerprint, hexadecimal

_PREFIX = "hmacsha256="
_KIND = "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS"


def handshake(credentials: Credentials, query: Mapping[str, str]) -> HandshakeReply | None:
    """The challenge code and its HMAC by the newest secret. LinkedIn asks every two hours."""
    code = query.get("challengeCode")
    response = code and answer(credentials.webhook_secrets, code.encode(), hexadecimal)
    if not response:
        return None
    body = orjson.dumps({"challengeCode": code, "challengeResponse": response})
    return HandshakeReply(body, "application/json")


def verify(credentials: Credentials, headers: Mapping[str, str], body: bytes) -> None:
    """The prefix belongs to what is signed; before the digest in the header it is optional."""
    if "x-li-signature" not in headers:
        raise BadSignature("the signature is not one of ours")
    digest = headers["x-li-signature"].removeprefix(_PREFIX)
    check(digest, credentials.webhook_secrets, _PREFIX.encode() + body, hexadecimal)


def split(document: dict[str, Any]) -> list[Change]:
    """`notifications[]`, each known by its `notificationId`."""
    notifications = document.get("notifications")
    if document.get("type") != _KIND or not isinstance(notifications, list):
        raise Unsplittable("not a LinkedIn notification")
    return [_change(item) for item in notifications]


def _change(item: Any) -> Change:
    action = item.get("action") if isinstance(item, dict) else None
    if not isinstance(action, str) or not 0 < len(action) <= 64:
        payload = item if isinstance(item, dict) else {"item": item}
        return Change(None, "unreadable", ("unreadable", fingerprint(item)), payload)
    number = identifier(item.get("notificationId"))
    key = ("notification", number) if number else ("unnumbered", fingerprint(item))
    return Change(identifier(item.get("organizationalEntity")), action, key, item)
