"""Who is calling: access tokens of people (EdDSA, JWKS) and of services (HMAC, one minute)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import jwt
from pydantic import SecretStr

from libs.chassis.clock import Clock, SystemClock
from libs.chassis.errors import Unauthorized, Unavailable

ACCESS = "access"
SERVICE_TOKEN_LIFE = timedelta(seconds=60)
_SKEW = timedelta(seconds=30)  # between two machines' clocks
_CACHE_SECONDS = 300.0
_REFETCH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Principal:
    """A person who showed a valid access token. `operator` is a scope of the installation."""

    user_id: UUID
    operator: bool = False


class TokenVerifier:
    """Checks access tokens against identity's published keys.

    `iss`, `aud`, `exp`, `sub` and the type are required; keys named inside a token (`jku`, `jwk`)
    are never used. Keys are cached for five minutes; an unknown key id fetches again, at most
    every five seconds.
    """

    def __init__(
        self,
        *,
        jwks_url: str,
        issuer: str,
        audience: str,
        http: httpx.AsyncClient,
    ) -> None:
        self._url = jwks_url
        self._issuer = issuer
        self._audience = audience
        self._http = http
        self._keys: dict[str, Any] = {}
        self._fetched = float("-inf")
        self._lock = asyncio.Lock()

    async def verify(self, token: str) -> Principal:
        """The token's owner. Raises Unauthorized; Unavailable when the keys cannot be had."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise Unauthorized from None
        key = await self._key(str(header.get("kid", "")))
        if key is None or header.get("alg") != "EdDSA":
            raise Unauthorized
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                issuer=self._issuer,
                audience=self._audience,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
            if claims.get("typ") != ACCESS:
                raise Unauthorized
            return Principal(
                user_id=UUID(claims["sub"]),
                operator="operator" in str(claims.get("scope", "")).split(),
            )
        except (jwt.InvalidTokenError, ValueError):
            raise Unauthorized from None

    async def _key(self, kid: str) -> Any:
        age = time.monotonic() - self._fetched
        if age < _CACHE_SECONDS and (kid in self._keys or age < _REFETCH_SECONDS):
            return self._keys.get(kid)
        async with self._lock:
            if time.monotonic() - self._fetched >= _REFETCH_SECONDS:
                try:
                    answer = await self._http.get(self._url)
                    answer.raise_for_status()
                    keys = jwt.PyJWKSet.from_dict(answer.json()).keys
                except (httpx.HTTPError, ValueError, jwt.PyJWTError):
                    if kid in self._keys:  # better an old key than no service
                        return self._keys[kid]
                    raise Unavailable from None
                self._keys = {str(key.key_id): key.key for key in keys}
                self._fetched = time.monotonic()
        return self._keys.get(kid)


class ServiceTokens:
    """Tokens that one service shows another. They name caller and callee and live a minute."""

    def __init__(self, secret: SecretStr, clock: Clock | None = None) -> None:
        self._secret = secret.get_secret_value()
        self._clock = clock or SystemClock()

    def issue(self, *, caller: str, callee: str) -> str:
        """A bearer token for one call or a few."""
        now = self._clock.now()
        claims = {"iss": caller, "aud": callee, "typ": "service", "iat": now}
        return jwt.encode(claims | {"exp": now + SERVICE_TOKEN_LIFE}, self._secret, "HS256")

    def verify(self, token: str, *, callee: str) -> str:
        """The caller's name. Raises Unauthorized."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=callee,
                leeway=_SKEW,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
        except jwt.InvalidTokenError:
            raise Unauthorized from None
        if claims.get("typ") != "service":
            raise Unauthorized
        return str(claims["iss"])
