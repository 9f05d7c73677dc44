"""X's webhooks: CRC, signature by the consumer secret, activity events and their predecessor's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from libs.platforms.base import BadSignature, Change, Credentials, HandshakeReply, Unsplittable
from libs.platforms.shapes import dig, identifier
from libs.platforms.signing import answer, base64_standard, check, fingerprint
from libs.platforms.x import legacy

REVOKE = "oauth.revoke"
REPLAY = "replay_job_status"


def handshake(credentials: Credentials, query: Mapping[str, str]) -> HandshakeReply | None:
    """The response token of a CRC, by the newest secret. X asks about hourly."""
    token = query.get("crc_token")
    response = token and answer(credentials.webhook_secrets, token.encode(), base64_standard)
    if not response:
        return None
    return HandshakeReply(
        orjson.dumps({"response_token": f"sha256={response}"}), "application/json"
    )


def verify(credentials: Credentials, headers: Mapping[str, str], body: bytes) -> None:
    scheme, _, digest = headers.get("x-twitter-webhooks-signature", "").partition("=")
    if scheme != "sha256":
        raise BadSignature("the signature is not one of ours")
    check(digest, credentials.webhook_secrets, body, base64_standard)


def split(document: dict[str, Any]) -> list[Change]:
    """One event of the Activity API, or the lists of the deprecated Account Activity API."""
    if REPLAY in document:
        return [_replay(document, document[REPLAY])]
    data = document.get("data")
    if not isinstance(data, dict):
        return legacy.split(document)
    kind = data.get("event_type")
    if not isinstance(kind, str) or not 0 < len(kind) <= 64:
        raise Unsplittable("not an X activity event")
    if kind == REPLAY:
        return [_replay(data, data.get("payload"))]
    number = identifier(data.get("event_uuid"))
    key = ("event", number) if number else ("unnumbered", fingerprint(data))
    # A revocation is filtered by nobody: it names the person in its payload.
    source = dig(data, "payload", "user_id") if kind == REVOKE else None
    user = identifier(dig(data, "filter", "user_id")) or identifier(source)
    return [Change(user, kind, key, data)]


def _replay(payload: dict[str, Any], job: Any) -> Change:
    """The end of a replay we asked for concerns the webhook, so no account."""
    number = identifier(dig(job, "job_id")) or fingerprint(payload)
    return Change(None, REPLAY, (REPLAY, number), payload)
