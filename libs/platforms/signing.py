"""HMAC-SHA256 as all four platforms use it, compared in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable

from pydantic import SecretStr

from libs.platforms.base import BadSignature


def hexadecimal(digest: bytes) -> str:
    return digest.hex()


def base64_standard(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def base64_url(digest: bytes) -> str:
    """URL-safe and without padding."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def sign(secret: SecretStr, message: bytes) -> bytes:
    return hmac.digest(secret.get_secret_value().encode(), message, "sha256")


def answer(
    secrets: Iterable[SecretStr], message: bytes, encode: Callable[[bytes], str]
) -> str | None:
    """The signature of a challenge by the newest secret; None without one that is not empty."""
    for secret in secrets:
        if secret.get_secret_value():
            return encode(sign(secret, message))
    return None


def check(
    presented: str, secrets: Iterable[SecretStr], message: bytes, encode: Callable[[bytes], str]
) -> None:
    """Raise BadSignature unless `presented` is the signature of `message` with one of `secrets`.

    Empty secrets never match. All are tried, so the time does not tell which one did.
    """
    given = presented.encode("utf-8", "surrogateescape")
    matched = False
    for secret in secrets:
        if secret.get_secret_value():
            matched |= hmac.compare_digest(encode(sign(secret, message)).encode(), given)
    if not matched:
        raise BadSignature("the signature is not one of ours")


def same(presented: str, secret: SecretStr | None) -> bool:
    """Whether a word is the agreed one, in constant time; an empty or unset one never is."""
    if secret is None or not secret.get_secret_value():
        return False
    given = presented.encode("utf-8", "surrogateescape")
    return hmac.compare_digest(secret.get_secret_value().encode(), given)


def fingerprint(value: object) -> str:
    """A dedupe key for an item without an id of its own: equal for equal JSON, in any key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
