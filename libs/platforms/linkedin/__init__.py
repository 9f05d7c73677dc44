"""LinkedIn: the pages of organisations, and the numbers of members."""

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
from libs.platforms.linkedin import oauth, poll, webhooks
from libs.platforms.linkedin.rest import Rest
from libs.platforms.linkedin.translate import TRANSLATORS
from libs.platforms.polling import begin_or_resume, garbage_is_unavailable
from libs.platforms.translation import translate_by

FACTS = Facts(
    name="linkedin",
    title="LinkedIn",
    # Asking for another set than before ends the tokens of the old set.
    scopes=(
        "openid",
        "profile",
        "w_member_social",
        "w_organization_social",
        "r_organization_social",
        "rw_organization_admin",
        "r_member_postAnalytics",
        "r_member_profileAnalytics",
    ),
    required_scopes=frozenset(
        {"openid", "profile", "r_organization_social", "rw_organization_admin"}
    ),
    pkce=False,
    refresh="fixed",
    metrics=frozenset(
        {
            "followers_count",
            "posts_count",
            "reach",
            "impressions",
            "engagement_count",
            "profile_views",
        }
    ),
    post_metrics=frozenset({"likes_count", "comments_count", "shares_count", "reach"}),
    audience=frozenset({"countries", "cities"}),
    # Quotas are of the day and not published, and the numbers are of whole days.
    poll_every={
        "account": timedelta(hours=6),
        "posts": timedelta(hours=6),
        "audience": timedelta(days=1),
    },
    sends_deauthorisation=False,
)


class LinkedIn:
    """The interface of `base.Platform`."""

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
        with garbage_is_unavailable():
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
        api = Rest(http, self._at, access_token)
        read = {"account": poll.account, "posts": poll.posts, "audience": poll.audience}[kind]
        with garbage_is_unavailable():
            return await read(api, platform_user_id, this)
