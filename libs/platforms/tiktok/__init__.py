"""TikTok, by Login Kit and the Display API."""

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
from libs.platforms.tiktok import oauth, poll, webhooks
from libs.platforms.tiktok.translate import TRANSLATORS
from libs.platforms.translation import translate_by

FACTS = Facts(
    name="tiktok",
    title="TikTok",
    scopes=(
        "user.info.basic",
        "user.info.profile",
        "user.info.stats",
        "video.list",
        "video.publish",
        "video.upload",
    ),
    required_scopes=frozenset({"user.info.basic", "user.info.stats", "video.list"}),
    pkce=False,
    refresh="rotating",
    # Impressions and engagement come as lifetime sums (`_total` in the event).
    metrics=frozenset(
        {"followers_count", "following_count", "posts_count", "impressions", "engagement_count"}
    ),
    post_metrics=frozenset({"likes_count", "comments_count", "shares_count"}),
    audience=frozenset(),
    poll_every={"account": timedelta(hours=1), "posts": timedelta(hours=6)},
    sends_deauthorisation=True,
)


class TikTok:
    """The interface of `base.Platform`."""

    facts = FACTS

    def __init__(
        self,
        credentials: Credentials,
        endpoints: Endpoints,
        *,
        tolerance: timedelta = timedelta(seconds=300),
    ) -> None:
        """`tolerance`: how far a signature's time may be from now. TikTok leaves it to us, and
        whether it signs its retries anew is not known.
        """
        self._credentials = credentials
        self._at = endpoints
        self._tolerance = tolerance

    def handshake(self, query: Mapping[str, str]) -> HandshakeReply | None:
        """None: TikTok has no handshake."""
        return None

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        webhooks.verify(self._credentials, headers, body, now, self._tolerance)

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
        wanted = FACTS.scopes if scopes is None else scopes
        return oauth.authorize_url(self._credentials, self._at, redirect_uri, state, wanted)

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
        reader = poll.Reader(http, self._at, access_token)
        with garbage_is_unavailable():
            return await (poll.account if kind == "account" else poll.posts)(reader, this)
