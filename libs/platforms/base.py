"""What every social platform is to Rookery: its facts, its interface, its errors.

`registry.build` gives one `Platform` per name. Nothing here keeps state between calls, so one
object serves all requests of a process; only the coroutines do input and output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal, NamedTuple, Protocol
from uuid import UUID

import httpx
from pydantic import SecretStr

from libs.contracts.accounts import PlatformName
from libs.contracts.event import Event

PollKind = Literal["account", "posts", "audience"]
Refresh = Literal["exchange", "rotating", "fixed"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is fixed about a platform.

    `scopes` are asked for; an account granted fewer than `required_scopes` needs review.
    `refresh`: a token is exchanged for a longer one (`exchange`), renewed by a refresh token that
    dies with its use (`rotating`), or by one that stays the same (`fixed`). `metrics`,
    `post_metrics` and `audience` name the columns of metrics_snapshots, top_content and
    audience_insights that it can fill. `poll_every` holds the kinds of poll it has.
    `sends_deauthorisation`: it tells us when a person takes a grant back.
    """

    name: PlatformName
    title: str
    scopes: tuple[str, ...]
    required_scopes: frozenset[str]
    pkce: bool
    refresh: Refresh
    metrics: frozenset[str]
    post_metrics: frozenset[str]
    audience: frozenset[str]
    poll_every: Mapping[PollKind, timedelta]
    sends_deauthorisation: bool


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base URLs without a trailing slash: consent pages, API, and Instagram's Graph API.

    `browser` is `www` as people reach it, when that differs: a simulator among containers.
    """

    www: str
    api: str
    graph: str = ""
    browser: str = ""

    @property
    def consent(self) -> str:
        """Where people are sent."""
        return self.browser or self.www


@dataclass(frozen=True, slots=True)
class Credentials:
    """Our application at a platform.

    `webhook_secrets` sign its webhooks, newest first: while a secret is rotated, any may verify.
    An empty one never does. `verify_token` is the word agreed for Instagram's handshake.
    """

    client_id: str
    client_secret: SecretStr
    webhook_secrets: tuple[SecretStr, ...]
    verify_token: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Tokens a person granted. Times are aware UTC; None: the platform did not say."""

    access_token: SecretStr
    refresh_token: SecretStr | None
    expires_at: datetime | None
    refresh_expires_at: datetime | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """Whose account a grant opens.

    `platform_user_id` is the id that its webhooks name. `other_ids` are further ids of the same
    account under which the platform may speak of it: Instagram's deauthorisation names the person
    by an id of their own.
    """

    platform_user_id: str
    handle: str
    display_name: str | None
    other_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One item of a webhook.

    `platform_user_id` says whose account it concerns (None: the item does not tell). `type` has
    at most 64 characters. `key` is equal for every delivery of the same item and for no other
    item of the platform. `payload` is the item as sent, with what is needed of its surroundings.
    """

    platform_user_id: str | None
    type: str
    key: tuple[str, ...]
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HandshakeReply:
    """What to answer, with status 200, when a platform checks that the address is ours."""

    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing a poll saw.

    `type` is `poll.<kind>`; `key` is equal for the same thing seen again in the same slot;
    `payload` is `{"observed_at": ISO time, "responses": {name: raw body}}`.
    """

    kind: PollKind
    type: str
    key: tuple[str, ...]
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PollPage:
    """What one call of `poll` brought.

    `cursor` is JSON to go on from (None: the poll is complete). `not_before`: the platform's
    headers ask to make no further call for this account until then.
    """

    observations: list[Observation]
    cursor: dict[str, Any] | None = None
    not_before: datetime | None = None


class Raw(NamedTuple):
    """A row of ingestion's `events`, as `translate` takes it. `received_at` is aware."""

    id: UUID
    workspace_id: UUID
    account_id: UUID
    platform: PlatformName
    type: str
    payload: dict[str, Any]
    received_at: datetime


class BadSignature(ValueError):
    """The sender did not prove that it is the platform. The text never says how it failed."""


class Unsplittable(ValueError):
    """A signed document that has not the shape of the platform's webhooks."""


class Untranslatable(ValueError):
    """A raw event of a type or shape that this version does not know."""


class PlatformError(Exception):
    """A call to a platform failed. Texts are stable slugs: no tokens, no bodies.

    `kind` is the slug of its class.
    """

    kind: ClassVar[str] = "failed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RateLimited(PlatformError):
    """The platform wants no further call for `retry_after`; nothing was done."""

    kind = "rate-limited"

    def __init__(self, retry_after: timedelta, reason: str = "rate-limited") -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class ReconnectRequired(PlatformError):
    """The grant is dead or too small: only the person can mend it, by consenting again."""

    kind = "reconnect-required"


class Rejected(PlatformError):
    """The platform refused this call for good; the same call will be refused again."""

    kind = "rejected"


class Ambiguous(PlatformError):
    """A write whose outcome is unknown: look it up, never send it again blindly."""

    kind = "ambiguous"


class Unavailable(PlatformError):
    """No usable answer (network, 5xx, garbage). Says nothing about the grant: try later."""

    kind = "unavailable"


class Platform(Protocol):
    """One social platform.

    The coroutines take an `httpx.AsyncClient`, raise PlatformErrors only, and finish within
    about half a minute per request they make. Everything else is pure and quick.
    """

    @property
    def facts(self) -> Facts: ...

    def handshake(self, query: Mapping[str, str]) -> HandshakeReply | None:
        """The reply to a GET of the webhook address; None when this is no handshake.

        Raises BadSignature when it is one with a wrong token.
        """

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Raise BadSignature unless `body`, as received, was signed with one of our secrets.

        Names of `headers` are in lower case. `now` is aware; only TikTok's signature has a time.
        """

    def split(self, document: dict[str, Any]) -> list[Change]:
        """The items of a parsed webhook, in its order; raises Unsplittable."""

    def translate(self, raw: Raw) -> Event | None:
        """What a raw event (webhook or poll) means; None: nothing we have words for, on purpose.

        Deterministic. Raises Untranslatable.
        """

    def authorize_url(
        self,
        *,
        redirect_uri: str,
        state: str,
        code_challenge: str | None,
        scopes: Sequence[str] | None = None,
    ) -> str:
        """Where to send the person for consent. `scopes` defaults to those of the facts.

        `code_challenge` is the S256 challenge where the facts say `pkce`, else ignored.
        """

    async def exchange_code(
        self,
        http: httpx.AsyncClient,
        *,
        code: str,
        redirect_uri: str,
        code_verifier: str | None,
        now: datetime,
    ) -> Grant:
        """Trade the code of the callback for tokens. A code works once: not idempotent.

        A code that is used, expired or not ours raises Rejected.
        """

    async def refresh(self, http: httpx.AsyncClient, grant: Grant, *, now: datetime) -> Grant:
        """A grant with a later expiry. Store the result before use: where the facts say
        `rotating` the old tokens may be dead already. Run one at a time per account.
        """

    async def revoke(self, http: httpx.AsyncClient, grant: Grant) -> None:
        """Give the grant back where the platform can take it, else do nothing. Idempotent."""

    async def profile(self, http: httpx.AsyncClient, grant: Grant) -> Profile:
        """Whose account the grant opens."""

    async def poll(
        self,
        http: httpx.AsyncClient,
        *,
        kind: PollKind,
        access_token: SecretStr,
        platform_user_id: str,
        cursor: dict[str, Any] | None,
        now: datetime,
    ) -> PollPage:
        """One bounded page of a poll: from its start (`cursor` None) or where the last page ended.

        Call again with `PollPage.cursor` until that is None. Repeating a page is harmless: its
        observations have the same keys. Raises ValueError for a kind not in `facts.poll_every`.
        """


def slot(now: datetime, every: timedelta) -> str:
    """The start of the period of length `every` that `now` falls in, as ISO time in UTC."""
    seconds = int(every.total_seconds())
    start = int(now.timestamp()) // seconds * seconds
    return datetime.fromtimestamp(start, UTC).isoformat()
