"""TikTok's OAuth: refresh tokens rotate, so the answer's one is always the one to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    ReconnectRequired,
    Rejected,
    Unavailable,
)
from libs.platforms.http import Answer, Refusal, call
from libs.platforms.shapes import dig, identifier, text
from libs.platforms.tiktok import api
from libs.platforms.tokens import access_token, expiry, scopes, secret


def authorize_url(
    credentials: Credentials, at: Endpoints, redirect_uri: str, state: str, wanted: Sequence[str]
) -> str:
    query = {
        "client_key": credentials.client_id,
        "response_type": "code",
        "scope": ",".join(wanted),
        "redirect_uri": redirect_uri,
        "state": state,
    }
    return f"{at.consent}/v2/auth/authorize/?{urlencode(query)}"


def _refused_code(answer: Answer) -> PlatformError:
    throttled = answer.status == 429
    return RateLimited(api.MINUTE) if throttled else Rejected("code-refused")


def _refused_refresh(answer: Answer) -> PlatformError:
    """Only `invalid_grant` is about the grant; a wrong client key would be our own mistake."""
    if answer.status == 429:
        return RateLimited(api.MINUTE)
    if text(dig(answer.document, "error")) == "invalid_grant":
        return ReconnectRequired("refresh-refused")
    return Rejected("refresh-refused")


async def _token(
    http: httpx.AsyncClient,
    credentials: Credentials,
    at: Endpoints,
    *,
    form: Mapping[str, str],
    refusal: Refusal,
    asked: Sequence[str],
    now: datetime,
) -> Grant:
    answer = await call(
        http,
        "POST",
        f"{at.api}/v2/oauth/token/",
        platform="tiktok",
        refusal=refusal,
        form={
            "client_key": credentials.client_id,
            "client_secret": credentials.client_secret.get_secret_value(),
            **form,
        },
    )
    # Refusals of this endpoint have been seen with status 200.
    if "access_token" not in answer.document and text(answer.document.get("error")):
        raise refusal(answer)
    return Grant(
        access_token=access_token(answer.document),
        refresh_token=secret(answer.document, "refresh_token"),
        expires_at=expiry(answer.document, "expires_in", now),
        refresh_expires_at=expiry(answer.document, "refresh_expires_in", now),
        scopes=scopes(answer.document.get("scope"), asked),
    )


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
    form = {"code": code, "grant_type": "authorization_code", "redirect_uri": redirect_uri}
    return await _token(
        http, credentials, at, form=form, refusal=_refused_code, asked=asked, now=now
    )


async def refresh(
    http: httpx.AsyncClient, credentials: Credentials, at: Endpoints, grant: Grant, now: datetime
) -> Grant:
    if grant.refresh_token is None:
        raise ReconnectRequired("no-refresh-token")
    form = {
        "grant_type": "refresh_token",
        "refresh_token": grant.refresh_token.get_secret_value(),
    }
    return await _token(
        http, credentials, at, form=form, refusal=_refused_refresh, asked=grant.scopes, now=now
    )


async def revoke(
    http: httpx.AsyncClient, credentials: Credentials, at: Endpoints, grant: Grant
) -> None:
    """A token that TikTok no longer knows is as good as revoked."""
    try:
        await call(
            http,
            "POST",
            f"{at.api}/v2/oauth/revoke/",
            platform="tiktok",
            refusal=_refused_refresh,
            empty=True,
            form={
                "client_key": credentials.client_id,
                "client_secret": credentials.client_secret.get_secret_value(),
                "token": grant.access_token.get_secret_value(),
            },
        )
    except (Rejected, ReconnectRequired):
        return


async def profile(http: httpx.AsyncClient, at: Endpoints, grant: Grant) -> Profile:
    """Without the scope for the user name, the display name stands in for the handle."""
    fields = ["open_id", "display_name"]
    if "user.info.profile" in grant.scopes:
        fields.append("username")
    document = await api.call_api(
        http,
        "GET",
        f"{at.api}/v2/user/info/",
        token=grant.access_token,
        params={"fields": ",".join(fields)},
    )
    user = dig(document, "data", "user")
    number, shown = identifier(dig(user, "open_id")), text(dig(user, "display_name"))
    handle = identifier(dig(user, "username")) or identifier(shown) or number
    if number is None or handle is None:
        raise Unavailable("garbage")
    return Profile(number, handle, shown)
