"""How each platform signs what it sends. Pure functions over raw bytes."""

import base64
import hashlib
import hmac
import json
from typing import Any


def _digest(key: str, message: bytes) -> "hmac.HMAC":
    return hmac.new(key.encode(), message, hashlib.sha256)


def instagram(app_secret: str, body: bytes) -> str:
    """Value of X-Hub-Signature-256 (section 1.1)."""
    return "sha256=" + _digest(app_secret, body).hexdigest()


def tiktok(client_secret: str, body: bytes, timestamp: int) -> str:
    """Value of TikTok-Signature; `timestamp` in unix seconds (section 2.1)."""
    signed = f"{timestamp}.".encode() + body
    return f"t={timestamp},s={_digest(client_secret, signed).hexdigest()}"


def linkedin(client_secret: str, body: bytes) -> str:
    """Value of X-LI-Signature: the prefix is signed, not sent (section 3.1)."""
    return _digest(client_secret, b"hmacsha256=" + body).hexdigest()


def linkedin_challenge(client_secret: str, code: str) -> str:
    """The challengeResponse expected for `code` (section 3.1)."""
    return _digest(client_secret, code.encode()).hexdigest()


def x(consumer_secret: str, body: bytes) -> str:
    """Value of x-twitter-webhooks-signature, and of response_token for a CRC (section 4.1)."""
    return "sha256=" + base64.b64encode(_digest(consumer_secret, body).digest()).decode()


def signed_request(app_secret: str, payload: dict[str, Any]) -> str:
    """Instagram's `signed_request`: unpadded base64url, HMAC over the encoded payload (1.2)."""
    encoded = _unpadded(json.dumps(payload, separators=(",", ":")).encode())
    return _unpadded(_digest(app_secret, encoded.encode()).digest()) + "." + encoded


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
