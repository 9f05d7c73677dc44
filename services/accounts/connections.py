"""Connecting and disconnecting accounts: the OAuth flows and what they leave behind."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import structlog
from pydantic import SecretStr

from libs.chassis import members
from libs.chassis.access import Access
from libs.chassis.clock import Clock
from libs.chassis.database import Database
from libs.chassis.errors import Forbidden, NotFound, Problem, Unavailable, Unprocessable
from libs.contracts.accounts import PlatformName, Status
from libs.contracts.envelope import Metadata
from libs.platforms.base import (
    Grant,
    Platform,
    PlatformError,
    Profile,
    RateLimited,
    ReconnectRequired,
    Rejected,
)
from services.accounts import domain
from services.accounts.domain import HeldElsewhere, NoSuchAccount
from services.accounts.projections.social_accounts import decide, known_as, lock, one
from services.accounts.schedule import refresh_at
from services.accounts.states import Flow, States, workspace_of
from services.accounts.tokens import Tokens

log = structlog.get_logger(__name__)
BY_MEMBER = "by-member"
_DENIED = {"access_denied", "user_cancelled_login", "user_cancelled_authorize"}


class NotConfigured(NotFound):
    slug = "platform-not-configured"
    title = "This installation has no application at that platform"


class BadState(Problem):
    slug = "bad-state"
    title = "This link was used, is over ten minutes old, or is not ours; start again"


class AccessDenied(Problem):
    slug = "access-denied"
    title = "Access was not granted at the platform; nothing was connected"


class AuthorizationFailed(Problem):
    slug = "authorization-failed"
    title = "The platform did not complete the authorisation; start again"


class ReturnUrlNotAllowed(Unprocessable):
    slug = "return-url-not-allowed"
    title = "A flow may not end at that address"


@dataclass(frozen=True, slots=True)
class Connected:
    account_id: UUID
    status: Status


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform sent back with the person. Untrusted."""

    platform: PlatformName
    state: str
    code: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A grant and the account it opens."""

    platform: PlatformName
    grant: Grant
    profile: Profile


@dataclass(frozen=True)
class Connections:
    """The three things a member does to connections. `database` is under the app role."""

    database: Database
    platforms: Mapping[PlatformName, Platform]
    configured: frozenset[PlatformName]
    tokens: Tokens
    states: States
    http: httpx.AsyncClient
    clock: Clock
    jitter: Callable[[], float]
    public_url: str
    origins: frozenset[str]

    async def begin(self, access: Access, name: PlatformName, return_url: str | None) -> str:
        """The platform's consent page for this member, for ten minutes.

        Raises NotConfigured or ReturnUrlNotAllowed.
        """
        if name not in self.configured:
            raise NotConfigured
        if return_url is not None and not _ends_at(return_url, self.origins):
            raise ReturnUrlNotAllowed
        platform = self.platforms[name]
        verifier = _verifier() if platform.facts.pkce else None
        flow = Flow(access.workspace_id, access.user_id, verifier, return_url)
        async with access.transaction() as connection:
            state = await self.states.issue(connection, flow, name, self.clock.now())
        return platform.authorize_url(
            redirect_uri=self._redirect_uri(name),
            state=state,
            code_challenge=_challenge(verifier) if verifier else None,
        )

    async def take(self, answer: Answer) -> Flow:
        """The flow that an answer belongs to; its state is used up. Raises BadState."""
        workspace_id = workspace_of(answer.state)
        if workspace_id is None:
            raise BadState
        async with self.database.transaction(workspace_id=workspace_id) as connection:
            flow = await self.states.consume(
                connection, answer.state, answer.platform, self.clock.now()
            )
        if flow is None:
            raise BadState
        return flow

    async def finish(self, flow: Flow, answer: Answer, metadata: Metadata) -> Connected:
        """Trade the code for a grant and connect, or reconnect, the account it opens.

        Raises AccessDenied, AuthorizationFailed, Forbidden (the role was lost meanwhile),
        HeldElsewhere or Unavailable; nothing is recorded then.
        """
        async with self.database.transaction(workspace_id=flow.workspace_id) as connection:
            role = await members.role_of(connection, flow.workspace_id, flow.user_id)
        if role not in {"owner", "editor"}:
            raise Forbidden
        if answer.error in _DENIED:
            raise AccessDenied
        if answer.error is not None or not answer.code:
            raise AuthorizationFailed
        opened = await self._opened(flow, answer.platform, answer.code)
        return await self._keep(flow, opened, metadata)

    async def disconnect(self, access: Access, account_id: UUID) -> None:
        """Forget the grant, then give it back to the platform as well as that goes. Idempotent.

        Raises NoSuchAccount.
        """
        async with access.transaction() as connection:
            if await one(connection, account_id) is None:
                raise NoSuchAccount
            await lock(connection, account_id)
            stored = await self.tokens.read(connection, account_id)
            await decide(
                connection,
                account_id,
                domain.Disconnect(BY_MEMBER),
                workspace_id=access.workspace_id,
                metadata=access.metadata,
                now=self.clock.now(),
            )
            await self.tokens.wipe(connection, account_id)
        if stored is None:
            return
        try:
            await self.platforms[stored.platform].revoke(self.http, stored.grant)
        except PlatformError as error:
            log.warning("revoking failed", platform=stored.platform, reason=error.reason)

    async def _opened(self, flow: Flow, name: PlatformName, code: str) -> _Opened:
        platform, verifier = self.platforms[name], flow.code_verifier
        try:
            grant = await platform.exchange_code(
                self.http,
                code=code,
                redirect_uri=self._redirect_uri(name),
                code_verifier=verifier.get_secret_value() if verifier else None,
                now=self.clock.now(),
            )
            return _Opened(name, grant, await platform.profile(self.http, grant))
        except (Rejected, ReconnectRequired) as error:
            log.warning("authorization failed", platform=name, reason=error.reason)
            raise AuthorizationFailed from None
        except RateLimited as error:
            seconds = str(int(error.retry_after.total_seconds()))
            raise Unavailable(headers={"Retry-After": seconds}) from None
        except PlatformError as error:
            log.warning("platform unavailable", platform=name, reason=error.reason)
            raise Unavailable("The platform is not answering; start again shortly") from None

    async def _keep(self, flow: Flow, opened: _Opened, metadata: Metadata) -> Connected:
        known = await self._known(flow, opened)
        try:
            return await self._keep_as(known or uuid4(), flow, opened, metadata)
        except HeldElsewhere:
            # Perhaps held by ourselves: another flow of this workspace may have come first.
            again = await self._known(flow, opened)
            if known is not None or again is None:
                raise
            return await self._keep_as(again, flow, opened, metadata)

    async def _known(self, flow: Flow, opened: _Opened) -> UUID | None:
        async with self.database.transaction(workspace_id=flow.workspace_id) as connection:
            return await known_as(
                connection, flow.workspace_id, opened.platform, opened.profile.platform_user_id
            )

    async def _keep_as(
        self, account_id: UUID, flow: Flow, opened: _Opened, metadata: Metadata
    ) -> Connected:
        facts, now = self.platforms[opened.platform].facts, self.clock.now()
        grant, profile = opened.grant, opened.profile
        command = domain.Grant(
            account_id=account_id,
            workspace_id=flow.workspace_id,
            platform=opened.platform,
            handle=profile.handle,
            platform_user_id=profile.platform_user_id,
            scopes=grant.scopes,
            missing_scopes=tuple(sorted(facts.required_scopes - set(grant.scopes))),
            other_ids=profile.other_ids,
        )
        async with self.database.transaction(
            workspace_id=flow.workspace_id, user_id=flow.user_id
        ) as connection:
            account, _ = await decide(
                connection,
                account_id,
                command,
                workspace_id=flow.workspace_id,
                metadata=metadata,
                now=now,
            )
            await self.tokens.put(
                connection,
                account_id,
                workspace_id=flow.workspace_id,
                platform=opened.platform,
                grant=grant,
                now=now,
                next_refresh_at=refresh_at(grant, facts, now, self.jitter()),
            )
        return Connected(account_id, account.status)

    def _redirect_uri(self, name: PlatformName) -> str:
        return f"{self.public_url.rstrip('/')}/v1/oauth/{name}/callback"


def _verifier() -> SecretStr:
    return SecretStr(base64.urlsafe_b64encode(os.urandom(48)).decode())


def _challenge(verifier: SecretStr) -> str:
    digest = hashlib.sha256(verifier.get_secret_value().encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _ends_at(url: str, origins: frozenset[str]) -> bool:
    """Whether a browser sent to `url` lands at one of the origins; doubt is a no."""
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and f"{parts.scheme}://{parts.netloc}" in origins
