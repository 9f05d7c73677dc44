"""Instagram, by Instagram Login (not by Facebook Login)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

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
from libs.platforms.instagram import oauth, poll, webhooks
from libs.platforms.instagram.translate import TRANSLATORS
from libs.platforms.polling import begin_or_resume, garbage_is_unavailable
from libs.platforms.translation import translate_by

FACTS = Facts(
    name="instagram",
    title="Instagram",
    scopes=(
        "instagram_business_basic",
        "instagram_business_content_publish",
        "instagram_business_manage_comments",
        "instagram_business_manage_insights",
    ),
    required_scopes=frozenset(
        {
            "instagram_business_basic",
            "instagram_business_manage_comments",
            "instagram_business_manage_insights",
        }
    ),
    pkce=False,
    refresh="exchange",
    metrics=frozenset(
        {
            "followers_count",
            "following_count",
            "posts_count",
            "reach",
            "impressions",
            "engagement_count",
            "profile_views",
        }
    ),
    post_metrics=frozenset(
        {"likes_count", "comments_count", "shares_count", "saves_count", "reach"}
    ),
    audience=frozenset(
        {"age_ranges", "genders", "countries", "cities", "active_hours", "active_days"}
    ),
    poll_every={
        "account": timedelta(hours=1),
        "posts": timedelta(hours=6),
        "audience": timedelta(days=1),
    },
    sends_deauthorisation=True,
)


class Instagram:
    """The interface of `base.Platform`, and the two callbacks only Instagram has."""

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

    def deauthorisation(self, signed_request: str) -> Change:
        """The form field of the deauthorisation callback; raises BadSignature."""
        return webhooks.deauthorisation(signed_request, self._credentials.webhook_secrets)

    def data_deletion(self, signed_request: str) -> Change:
        """The form field of the data-deletion callback; raises BadSignature.

        The answer to Instagram needs `payload["confirmation_code"]`.
        """
        return webhooks.data_deletion(signed_request, self._credentials.webhook_secrets)

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
        return await oauth.refresh(http, self._at, grant, now)

    async def revoke(self, http: httpx.AsyncClient, grant: Grant) -> None:
        """Nothing: Instagram Login lets only the person withdraw, in their settings."""

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
        reader = poll.Reader(http, self._at, access_token, quote(platform_user_id, safe=""), now)
        read = {"account": poll.account, "posts": poll.posts, "audience": poll.audience}[kind]
        with garbage_is_unavailable():
            return await read(reader, this)
