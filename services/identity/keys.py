"""Signing keys and access tokens: EdDSA, ten minutes, verified everywhere by the JWKS."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from libs.chassis.tokens import ACCESS


class BadSigningKey(ValueError):
    """A key that is neither an Ed25519 PEM nor a base64 seed; the text never repeats it."""


class Signer:
    """Issues access tokens with the newest key; publishes all of them."""

    def __init__(
        self, keys: Sequence[SecretStr], *, issuer: str, audience: str, life: timedelta
    ) -> None:
        loaded = [_load(key.get_secret_value().strip()) for key in keys]
        self._key = loaded[0]
        self._public = [_public(key) for key in loaded]
        self._issuer = issuer
        self._audience = audience
        self.life = life

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set (RFC 7517, RFC 8037), newest first."""
        return {"keys": self._public}

    def access_token(
        self, user_id: UUID, *, session_id: UUID, operator: bool, now: datetime
    ) -> str:
        """A signed token that `libs.chassis.tokens.TokenVerifier` accepts until `now + life`."""
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": str(uuid4()),
            "typ": ACCESS,
            "scope": "operator" if operator else "",
            "iat": now,
            "exp": now + self.life,
        }
        return jwt.encode(claims, self._key, "EdDSA", headers={"kid": self._public[0]["kid"]})


def _load(text: str) -> Ed25519PrivateKey:
    try:
        if text.startswith("-----BEGIN"):
            key = load_pem_private_key(text.encode(), password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise BadSigningKey("A signing key is a PEM of another algorithm than Ed25519")
            return key
        seed = base64.b64decode(text.replace("-", "+").replace("_", "/") + "==", validate=False)
        return Ed25519PrivateKey.from_private_bytes(seed)
    except BadSigningKey:
        raise
    except (ValueError, TypeError, binascii.Error):
        raise BadSigningKey(
            "A signing key is neither an Ed25519 PEM nor 32 bytes in base64"
        ) from None


def _public(key: Ed25519PrivateKey) -> dict[str, str]:
    x = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    required = {"crv": "Ed25519", "kty": "OKP", "x": x}
    # The thumbprint of RFC 7638 as key id: the same key has the same id on every instance.
    thumbprint = hashlib.sha256(
        json.dumps(required, sort_keys=True, separators=(",", ":")).encode()
    ).digest()
    kid = base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()
    return {**required, "kid": kid, "alg": "EdDSA", "use": "sig"}
