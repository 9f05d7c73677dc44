"""Instagram's webhooks: handshake, signature, batches, and the two signed-request callbacks."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import SecretStr

from libs.platforms.base import BadSignature, Change, Credentials, HandshakeReply, Unsplittable
from libs.platforms.shapes import identifier
from libs.platforms.signing import base64_url, check, fingerprint, hexadecimal, same

DEAUTHORIZE = "deauthorize"
DATA_DELETION = "data_deletion"


def handshake(credentials: Credentials, query: Mapping[str, str]) -> HandshakeReply | None:
    """The challenge itself, when the agreed token comes with it."""
    if query.get("hub.mode") != "subscribe" or "hub.challenge" not in query:
        return None
    if not same(query.get("hub.verify_token", ""), credentials.verify_token):
        raise BadSignature("the verify token is not ours")
    return HandshakeReply(query["hub.challenge"].encode(), "text/plain")


def verify(credentials: Credentials, headers: Mapping[str, str], body: bytes) -> None:
    scheme, _, digest = headers.get("x-hub-signature-256", "").partition("=")
    if scheme != "sha256":
        raise BadSignature("the signature is not one of ours")
    check(digest, credentials.webhook_secrets, body, hexadecimal)


def split(document: dict[str, Any]) -> list[Change]:
    """`entry[]` times `changes[]`. An entry may hold one `field` and `value` itself instead.

    An item without shape becomes a Change of nobody, so that it does not hold up the others.
    """
    entries = document.get("entry")
    if document.get("object") != "instagram" or not isinstance(entries, list):
        raise Unsplittable("not an Instagram notification")
    return [change for entry in entries for change in _entry(entry)]


def _entry(entry: Any) -> list[Change]:
    if not isinstance(entry, dict):
        return [_unreadable(entry)]
    items = entry.get("changes", [entry] if "field" in entry else None)
    if not isinstance(items, list):
        return [_unreadable(entry)]
    return [_change(entry, item) for item in items]


def _change(entry: dict[str, Any], item: Any) -> Change:
    account = identifier(entry.get("id"))
    field = item.get("field") if isinstance(item, dict) else None
    if account is None or not isinstance(field, str) or not 0 < len(field) <= 64:
        return _unreadable({"entry_id": entry.get("id"), "time": entry.get("time"), "item": item})
    value = item.get("value")
    return Change(
        platform_user_id=account,
        type=field,
        key=(account, field, *_identity(field, value)),
        payload={
            "entry_id": entry.get("id"),
            "time": entry.get("time"),
            "field": field,
            "value": value,
        },
    )


def _identity(field: str, value: Any) -> tuple[str, ...]:
    """What tells this item from others of its account and field: there is no event id."""
    value = value if isinstance(value, dict) else {"": value}
    media = identifier(value.get("media_id"))
    comment = identifier(value.get("comment_id"))
    if field in {"comments", "live_comments"}:
        comment = identifier(value.get("id")) or comment
        if comment:
            return (comment,)
    elif field == "mentions" and media:
        return (media, comment or "")
    elif field == "story_insights" and media:
        return (media,)
    return (fingerprint(value),)


def _unreadable(item: Any) -> Change:
    payload = item if isinstance(item, dict) else {"item": item}
    return Change(None, "unreadable", ("unreadable", fingerprint(item)), payload)


def signed_request(form_value: str, secrets: Sequence[SecretStr]) -> dict[str, Any]:
    """The payload of a `signed_request` form field; raises BadSignature.

    The signature is over the second part as it was encoded.
    """
    signature, _, encoded = form_value.partition(".")
    check(signature.rstrip("="), secrets, encoded.encode("utf-8", "surrogateescape"), base64_url)
    try:
        payload = orjson.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, binascii.Error):
        raise BadSignature("the signed request holds no JSON") from None
    if not isinstance(payload, dict) or payload.get("algorithm") != "HMAC-SHA256":
        raise BadSignature("the signed request names another algorithm")
    return payload


def deauthorisation(form_value: str, secrets: Sequence[SecretStr]) -> Change:
    """The person removed our application; raises BadSignature."""
    return _callback(DEAUTHORIZE, signed_request(form_value, secrets))


def data_deletion(form_value: str, secrets: Sequence[SecretStr]) -> Change:
    """The person wants their data deleted; raises BadSignature.

    `payload["confirmation_code"]` is for the answer. It is the same for the same request and
    cannot be guessed, because it comes from the request's signature.
    """
    request = signed_request(form_value, secrets)
    code = hashlib.sha256(b"data deletion " + form_value.encode()).hexdigest()[:32]
    return _callback(DATA_DELETION, {**request, "confirmation_code": code})


def _callback(kind: str, request: dict[str, Any]) -> Change:
    user = identifier(request.get("user_id"))
    return Change(user, kind, (kind, user or "", str(request.get("issued_at"))), request)
