"""TikTok's webhooks: one event each, with a time in the signature and JSON inside JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from libs.platforms.base import BadSignature, Change, Credentials, Unsplittable
from libs.platforms.shapes import identifier
from libs.platforms.signing import check, fingerprint, hexadecimal


def verify(
    credentials: Credentials,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance: timedelta,
) -> None:
    pairs = [part.partition("=") for part in headers.get("tiktok-signature", "").split(",")]
    fields = {name.strip(): value for name, _, value in pairs}
    time, signature = fields.get("t", ""), fields.get("s", "")
    if len(pairs) != len(fields) or not (time.isascii() and time.isdigit() and len(time) <= 12):
        raise BadSignature("the signature is not one of ours")
    check(signature, credentials.webhook_secrets, time.encode() + b"." + body, hexadecimal)
    if abs(now.timestamp() - int(time)) > tolerance.total_seconds():
        raise BadSignature("the signature is not of this time")


def split(document: dict[str, Any]) -> list[Change]:
    """One event. It has no id: event, user, publish, post and time together are its key."""
    event = document.get("event")
    if not isinstance(event, str) or not 0 < len(event) <= 64 or "content" not in document:
        raise Unsplittable("not a TikTok event")
    user = identifier(document.get("user_openid"))
    inner = content(document)
    if inner is None:
        identity = (fingerprint(document["content"]), "")
    else:
        identity = (
            identifier(inner.get("publish_id")) or "",
            identifier(inner.get("post_id")) or "",
        )
    key = (event, user or "", *identity, str(document.get("create_time")))
    return [Change(user, event, key, document)]


def content(document: dict[str, Any]) -> dict[str, Any] | None:
    """The object inside the `content` string; None when there is none."""
    try:
        inner = orjson.loads(document["content"])
    except (KeyError, ValueError):
        return None
    return inner if isinstance(inner, dict) else None
