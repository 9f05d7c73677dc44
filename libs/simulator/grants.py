"""Codes and tokens: who may act for whom, until when. The same bookkeeping for all platforms."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel

from libs.chassis.clock import Clock
from libs.simulator.wire import Platform

State = Literal["live", "revoked", "replaced"]


class Token(BaseModel):
    """One issued access token, with the refresh token that came with it, if any."""

    platform: Platform
    handle: str
    access: str
    scopes: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    long_lived: bool = False
    refresh: str | None = None
    refresh_expires_at: datetime | None = None
    # A replaced token was superseded by a refresh; a revoked one was withdrawn by its owner.
    access_state: State = "live"
    refresh_state: State = "live"


@dataclass
class Code:
    """An authorization code: good once, for one redirect URI, for a short time."""

    value: str
    platform: Platform
    handle: str
    scopes: tuple[str, ...]
    redirect_uri: str
    expires_at: datetime
    challenge: str | None = None
    used: bool = False


class Grants:
    """All codes and tokens. `changed` is called after every change that must be kept."""

    def __init__(self, clock: Clock, tokens: list[Token], changed: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._codes: dict[str, Code] = {}
        # The same list the state file is written from.
        self._tokens = tokens
        self._by_access = {token.access: token for token in tokens}
        self._by_refresh = {token.refresh: token for token in tokens if token.refresh}

    def authorize(
        self,
        platform: Platform,
        handle: str,
        scopes: Iterable[str],
        *,
        redirect_uri: str,
        life: float,
        challenge: str | None = None,
        prefix: str = "",
        suffix: str = "",
    ) -> Code:
        """A new code that lives for `life` seconds."""
        code = Code(
            value=prefix + secrets.token_urlsafe(48) + suffix,
            platform=platform,
            handle=handle,
            scopes=tuple(scopes),
            redirect_uri=redirect_uri,
            expires_at=self._clock.now() + timedelta(seconds=life),
            challenge=challenge,
        )
        now = self._clock.now()
        self._codes = {v: c for v, c in self._codes.items() if now < c.expires_at + _MEMORY}
        self._codes[code.value] = code
        return code

    def redeem(self, platform: Platform, value: str, redirect_uri: str) -> Code | None:
        """The code, now used; None if unknown, used, expired or for another redirect URI.

        A refused code is spent all the same, as a leaked one must be.
        """
        code = self._codes.get(value)
        if code is None or code.platform != platform or code.used:
            return None
        code.used = True
        if code.expires_at <= self._clock.now() or code.redirect_uri != redirect_uri:
            return None
        return code

    def issue(
        self,
        platform: Platform,
        handle: str,
        scopes: Iterable[str],
        life: float,
        *,
        access: str,
        refresh: str | None = None,
        refresh_expires_at: datetime | None = None,
        long_lived: bool = False,
    ) -> Token:
        """A new live token with the given values; `life` in seconds."""
        now = self._clock.now()
        token = Token(
            platform=platform,
            handle=handle,
            access=access,
            scopes=tuple(scopes),
            issued_at=now,
            expires_at=now + timedelta(seconds=life),
            refresh=refresh,
            refresh_expires_at=refresh_expires_at,
            long_lived=long_lived,
        )
        self._forget_dead(now)
        self._tokens.append(token)
        self._by_access[access] = token
        if refresh is not None:
            self._by_refresh[refresh] = token
        self._changed()
        return token

    def by_access(self, platform: Platform, value: str | None) -> Token | None:
        """The token with this access value, in whatever state."""
        token = self._by_access.get(value or "")
        return token if token is not None and token.platform == platform else None

    def by_refresh(self, platform: Platform, value: str) -> Token | None:
        """The token that came with this refresh value, in whatever state."""
        token = self._by_refresh.get(value)
        return token if token is not None and token.platform == platform else None

    def refreshable(self, platform: Platform, value: str) -> Token | None:
        """The token whose refresh value still works."""
        token = self.by_refresh(platform, value)
        if token is None or token.refresh_state != "live":
            return None
        expires = token.refresh_expires_at
        return token if expires is None or self._clock.now() < expires else None

    def expired(self, token: Token) -> bool:
        """Whether the access value has outlived itself."""
        return token.expires_at <= self._clock.now()

    def replace(self, token: Token, *, access_too: bool) -> None:
        """Kills the refresh value, and with `access_too` the access value, after a rotation."""
        token.refresh_state = "replaced"
        if access_too and token.access_state == "live":
            token.access_state = "replaced"
        self._changed()

    def revoke(self, tokens: Iterable[Token]) -> int:
        """Kills tokens for good; answers how many were alive. Idempotent."""
        alive = [t for t in tokens if "live" in (t.access_state, t.refresh_state)]
        for token in alive:
            token.access_state = token.refresh_state = "revoked"
        self._changed()
        return len(alive)

    def of(self, platform: Platform, handle: str) -> list[Token]:
        """Every token of one account holder, oldest first."""
        return [t for t in self._tokens if t.platform == platform and t.handle == handle]

    def connected(self, platform: Platform) -> list[str]:
        """Handles with a working access or refresh token, in order of first connection."""
        now = self._clock.now()
        handles: dict[str, None] = {}
        for token in self._tokens:
            if token.platform == platform and _alive(token, now):
                handles[token.handle] = None
        return list(handles)

    def _forget_dead(self, now: datetime) -> None:
        """Drops tokens dead for a month, so the list does not grow for ever."""
        for token in list(self._tokens):
            last = max(token.expires_at, token.refresh_expires_at or token.expires_at)
            if last + timedelta(days=30) < now:
                self._tokens.remove(token)
                self._by_access.pop(token.access, None)
                self._by_refresh.pop(token.refresh or "", None)


_MEMORY = timedelta(hours=1)


def _alive(token: Token, now: datetime) -> bool:
    if token.access_state == "live" and now < token.expires_at:
        return True
    if token.refresh is None or token.refresh_state != "live":
        return False
    return token.refresh_expires_at is None or now < token.refresh_expires_at
