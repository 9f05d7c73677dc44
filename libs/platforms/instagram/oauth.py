"""Instagram Login: a code becomes a token of an hour, that one a token of sixty days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlencode

import httpx

from libs.platforms.base import (
    Credentials,
    Endpoints,
    Grant,
    PlatformError,
    Profile,
    RateLimited,
    Rejected,
    Unavailable,
)
from libs.platforms.http import Answer, call
from libs.platforms.instagram import graph
from libs.platforms.shapes import dig, identifier, text
from libs.platforms.tokens import access_token, expiry, scopes


def authorize_url(
    credentials: Credentials, at: Endpoints, redirect_uri: str, state: str, wanted: Sequence[str]
) -> str:
    query = {
        "client_id": credentials.client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": ",".join(wanted),
        "state": state,
    }
    return f"{at.consent}/oauth/authorize?{urlencode(query)}"


def _refused_code(answer: Answer) -> PlatformError:
    """api.instagram.com refuses in an older, flat shape; nothing in it is about an old token."""
    error = graph.refusal(answer)
    return error if isinstance(error, RateLimited | Unavailable) else Rejected("code-refused")


async def exchange_code(
    http: httpx.AsyncClient,
    credentials: Credentials,
    at: Endpoints,
    *,
    code: str,
    redirect_uri: str,
    now: datetime,
    asked: Sequence[str],
) -> Grant:
    """Instagram appends `#_` to the code; it does not belong to it."""
    short = await call(
        http,
        "POST",
        f"{at.api}/oauth/access_token",
        platform="instagram",
        refusal=_refused_code,
        form={
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret.get_secret_value(),
            "grant_type": "authorization_code",
            "redirect_uri": redirect_uri,
            "code": code.removesuffix("#_"),
        },
    )
    issued = dig(short.document, "data", 0) or short.document
    long = await call(
        http,
        "GET",
        f"{at.graph}/access_token",
        platform="instagram",
        refusal=_refused_code,
        params={
            "grant_type": "ig_exchange_token",
            "client_secret": credentials.client_secret.get_secret_value(),
            "access_token": access_token(issued).get_secret_value(),
        },
    )
    return Grant(
        access_token=access_token(long.document),
        refresh_token=None,
        expires_at=expiry(long.document, "expires_in", now),
        refresh_expires_at=None,
        scopes=scopes(dig(issued, "permissions"), asked),
    )


async def refresh(http: httpx.AsyncClient, at: Endpoints, grant: Grant, now: datetime) -> Grant:
    """The token itself is renewed. It must be a day old and alive; an expired one is dead."""
    renewed = await call(
        http,
        "GET",
        f"{at.graph}/refresh_access_token",
        platform="instagram",
        refusal=graph.refusal,
        params={
            "grant_type": "ig_refresh_token",
            "access_token": grant.access_token.get_secret_value(),
        },
    )
    return replace(
        grant,
        access_token=access_token(renewed.document),
        expires_at=expiry(renewed.document, "expires_in", now),
    )


async def profile(http: httpx.AsyncClient, at: Endpoints, grant: Grant) -> Profile:
    """`user_id` is what webhooks name; `id` is the person's id for our application alone."""
    answer = await call(
        http,
        "GET",
        f"{at.graph}/{graph.VERSION}/me",
        platform="instagram",
        refusal=graph.refusal,
        token=grant.access_token,
        params={"fields": "id,user_id,username,name"},
    )
    found = answer.document
    user, handle = identifier(found.get("user_id")), identifier(found.get("username"))
    if user is None or handle is None:
        raise Unavailable("garbage")
    scoped = identifier(found.get("id"))
    others = (scoped,) if scoped and scoped != user else ()
    return Profile(user, handle, text(found.get("name")), others)
