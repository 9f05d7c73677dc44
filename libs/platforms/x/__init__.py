"""X, by API v2 and the Activity API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from libs.contracts.event import Event
from libs.platforms.base import (
    Change,
    Credentials,
    Endpoints,
    Facts,
    Grant,
    HandshakeReply,
    PollKind,
    PollPage,
    Profile,
    Raw,
)
from libs.platforms.polling import begin_or_resume, garbage_is_unavailable
from libs.platforms.translation import translate_by
from libs.platforms.x import oauth, poll, webhooks
from libs.platforms.x.api import Api
from libs.platforms.x.translate import TRANSLATORS

FACTS = Facts(
    name="x",
    title="X",
    scopes=(
        "tweet.read",
        "tweet.write",
        "users.read",
        "media.write",
        "offline.access",
        "follows.read",
        "like.read",
    ),
    required_scopes=frozenset({"tweet.read", "users.read", "offline.access"}),
    pkce=True,
    refresh="rotating",
    metrics=frozenset(
        {"followers_count", "following_count", "posts_count", "impressions", "engagement_count"}
    ),
    post_metrics=frozenset({"likes_count", "comments_count", "shares_count", "saves_count"}),
    audience=frozenset(),
    # X bills by what is read.
    poll_every={"account": timedelta(hours=1), "posts": timedelta(hours=12)},
    sends_deauthorisation=True,
)


class X:
    """The interface of `base.Platform`. The webhook secret is the consumer (API) secret."""

    facts = FACTS

    def __init__(self, credentials: Credentials, endpoints: Endpoints) -> None:
        self._credentials = credentials
        self._at = endpoints

    def handshake(self, query: Mapping[str, str]) -> HandshakeReply | None:
        return webhooks.handshake(self._credentials, query)

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        webhooks.verify(self._credentials, headers, body)

    def split(self, document: dict[str, Any]) -> list[Change]:
        return webhooks.split(document)

    def translate(self, raw: Raw) -> Event | None:
        return translate_by(TRANSLATORS, raw)

    def authorize_url(
        self,
        *,
        redirect_uri: str,
        state: str,
        code_challenge: str | None,
        scopes: Sequence[str] | None = None,
    ) -> str:
        return oauth.authorize_url(
            self._credentials,
            self._at,
            redirect_uri=redirect_uri,
            state=state,
            code_challenge=code_challenge,
            wanted=FACTS.scopes if scopes is None else scopes,
        )

    async def exchange_code(
        self,
        http: httpx.AsyncClient,
        *,
        code: str,
        redirect_uri: str,
        code_verifier: str | None,
        now: datetime,
    ) -> Grant:
        return await oauth.exchange_code(
            http,
            self._credentials,
            self._at,
            code=code,
            redirect_uri=redirect_uri,
            code_verifier=code_verifier,
            now=now,
            asked=FACTS.scopes,
        )

    async def refresh(self, http: httpx.AsyncClient, grant: Grant, *, now: datetime) -> Grant:
        return await oauth.refresh(http, self._credentials, self._at, grant, now)

    async def revoke(self, http: httpx.AsyncClient, grant: Grant) -> None:
        await oauth.revoke(http, self._credentials, self._at, grant)

    async def profile(self, http: httpx.AsyncClient, grant: Grant) -> Profile:
        return await oauth.profile(http, self._at, grant)

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
        this = begin_or_resume(FACTS, kind, cursor, now)
        api = Api(http, self._at, access_token, now)
        with garbage_is_unavailable():
            return await (poll.account if kind == "account" else poll.posts)(
                api, platform_user_id, this
            )
