"""Access tokens of people and tokens of services."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from libs.chassis.clock import SystemClock
from libs.chassis.errors import Unauthorized, Unavailable
from libs.chassis.tokens import Principal, ServiceTokens, TokenVerifier
from libs.testing.clock import FakeClock
from libs.testing.identity import SERVICE_SECRET, People


@pytest.fixture
async def verifier(people: People) -> AsyncIterator[TokenVerifier]:
    async with httpx.AsyncClient() as http:
        yield TokenVerifier(
            jwks_url=people.jwks_url, issuer=people.issuer, audience=people.audience, http=http
        )


async def test_a_valid_token_names_its_owner(verifier: TokenVerifier, people: People) -> None:
    user = uuid4()
    assert await verifier.verify(people.token(user)) == Principal(user)
    assert await verifier.verify(people.token(user, operator=True)) == Principal(user, True)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere"},
        {"aud": "another"},
        {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        {"exp": None},
        {"sub": "no uuid"},
        {"typ": "refresh"},
        {"typ": None},
        {"nbf": datetime(2999, 1, 1, tzinfo=UTC)},
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(
    verifier: TokenVerifier, people: People, claims: dict[str, Any]
) -> None:
    with pytest.raises(Unauthorized):
        await verifier.verify(people.token(uuid4(), **claims))


async def test_foreign_keys_algorithms_and_garbage_are_refused(
    verifier: TokenVerifier, people: People
) -> None:
    token = people.token(uuid4())
    claims = jwt.decode(token, options={"verify_signature": False})
    public = people.key.public_key().public_bytes_raw()
    own = Ed25519PrivateKey.generate()
    own_x = base64.urlsafe_b64encode(own.public_key().public_bytes_raw()).decode().rstrip("=")
    forged = [
        jwt.encode(claims, own, "EdDSA", headers={"kid": "test"}),
        jwt.encode(claims, own, "EdDSA", headers={"kid": "unknown"}),
        # A key that the token brings along is never used.
        jwt.encode(
            claims,
            own,
            "EdDSA",
            headers={"kid": "test", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": own_x}},
        ),
        jwt.encode(
            claims, public + b"padding to a key of length", "HS256", headers={"kid": "test"}
        ),
        jwt.encode(claims, "", "none", headers={"kid": "test"}),
        token[:-4] + "AAAA",
        "no token",
        "",
    ]
    for candidate in forged:
        with pytest.raises(Unauthorized):
            await verifier.verify(candidate)


async def test_without_keys_the_answer_is_try_again_not_go_away(people: People) -> None:
    async with httpx.AsyncClient() as http:
        verifier = TokenVerifier(
            jwks_url="http://127.0.0.1:9/none", issuer=people.issuer, audience="rookery", http=http
        )
        with pytest.raises(Unavailable):
            await verifier.verify(people.token(uuid4()))


def test_a_services_token_names_caller_and_callee_and_lives_a_minute() -> None:
    clock = FakeClock(SystemClock().now())
    tokens = ServiceTokens(SecretStr(SERVICE_SECRET), clock)
    token = tokens.issue(caller="ingestion", callee="accounts")
    assert tokens.verify(token, callee="accounts") == "ingestion"
    with pytest.raises(Unauthorized):
        tokens.verify(token, callee="identity")
    with pytest.raises(Unauthorized):
        ServiceTokens(SecretStr("x" * 40)).verify(token, callee="accounts")
    clock.advance(timedelta(minutes=-2))
    with pytest.raises(Unauthorized):
        tokens.verify(tokens.issue(caller="ingestion", callee="accounts"), callee="accounts")


async def test_a_persons_token_is_no_services_token(people: People) -> None:
    with pytest.raises(Unauthorized):
        ServiceTokens(SecretStr(SERVICE_SECRET)).verify(people.token(uuid4()), callee="rookery")
