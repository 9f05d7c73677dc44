"""Callers for the tests of a service: a real JWKS endpoint and tokens signed with its key."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from libs.chassis.provision import ServiceUrls
from libs.messaging.config import BrokerConfig
from libs.testing.serving import serve

SERVICE_SECRET = "a secret of the tests that is long enough"


@dataclass
class People:
    """Issues access tokens that services under test accept."""

    jwks_url: str
    issuer: str
    audience: str
    key: Ed25519PrivateKey

    def token(self, user_id: UUID, *, operator: bool = False, **claims: Any) -> str:
        """A valid access token; `claims` override or add."""
        now = datetime.now(UTC)
        body = {
            "sub": str(user_id),
            "iss": self.issuer,
            "aud": self.audience,
            "iat": now,
            "exp": now + timedelta(minutes=10),
            "typ": "access",
            "scope": "operator" if operator else "",
        }
        return jwt.encode(body | claims, self.key, "EdDSA", headers={"kid": "test"})

    def bearer(self, user_id: UUID, *, operator: bool = False) -> dict[str, str]:
        """The header that carries the token."""
        return {"authorization": f"Bearer {self.token(user_id, operator=operator)}"}


@pytest.fixture(scope="session")
async def people() -> AsyncIterator[People]:
    """The run's token issuer, its keys served over HTTP."""
    key = Ed25519PrivateKey.generate()
    x = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    app = FastAPI()

    @app.get("/.well-known/jwks.json")
    async def jwks() -> dict[str, Any]:
        return {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "x": x,
                    "kid": "test",
                    "use": "sig",
                    "alg": "EdDSA",
                }
            ]
        }

    async with serve(app) as url:
        yield People(f"{url}/.well-known/jwks.json", "https://rookery.test", "rookery", key)


def service_settings(urls: ServiceUrls, people: People, broker: BrokerConfig) -> dict[str, Any]:
    """The settings every service needs, as keyword arguments under their environment names."""
    return {
        "database_url": urls.app,
        "worker_database_url": urls.worker,
        "owner_database_url": urls.owner,
        "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "KAFKA_IDEMPOTENCE": broker.idempotence,
        "KAFKA_PARTITIONS": broker.partitions,
        "KAFKA_REPLICATION": broker.replication,
        "KAFKA_FETCH_WAIT_MS": broker.fetch_wait_ms,
        "KAFKA_SESSION_TIMEOUT_MS": broker.session_timeout_ms,
        "KAFKA_TOPIC_PREFIX": broker.prefix,
        "ROOKERY_ISSUER": people.issuer,
        "ROOKERY_AUDIENCE": people.audience,
        "ROOKERY_JWKS_URL": people.jwks_url,
        "ROOKERY_SERVICE_SECRET": SERVICE_SECRET,
        "ROOKERY_TRUSTED_PROXIES": 0,
    }
