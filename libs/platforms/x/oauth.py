"""X's OAuth 2.0 with PKCE. A refresh kills both old tokens."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote, urlencode

import httpx

from libs.platforms.base import (
    Credentials,
    Endpoints,
    Grant,
    PlatformError,
    Profile,
    ReconnectRequired,
    Rejected,
    Unavailable,
)
from libs.platforms.http import Answer, Refusal, call
from libs.platforms.shapes import dig, identifier, text
from libs.platforms.tokens import access_token, expiry, scopes, secret
from libs.platforms.x import api

_DEAD = "Value passed for the token was invalid."


def authorize_url(
    credentials: Credentials,
    at: Endpoints,
    *,
    redirect_uri: str,
    state: str,
    code_challenge: str | None,
    wanted: Sequence[str],
) -> str:
    """Raises ValueError without a challenge: X insists on PKCE."""
    if not code_challenge:
        raise ValueError("X needs a code challenge")
    query = {
        "response_type": "code",
        "client_id": credentials.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(wanted),
        "state": state,
        "code_challenge": code_challenge,
        "code_challenge_method": "S256",
    }
    return f"{at.consent}/i/oauth2/authorize?{urlencode(query, quote_via=quote)}"


def _refused_code(answer: Answer) -> PlatformError:
    return api.refusal(None)(answer) if answer.status == 429 else Rejected("code-refused")


def _refused_refresh(answer: Answer) -> PlatformError:
    """`invalid_request` says many things; only this description is about the token."""
    if answer.status == 429:
        return api.refusal(None)(answer)
    error = text(dig(answer.document, "error"))
    described = text(dig(answer.document, "error_description"))
    if error == "invalid_grant" or (error == "invalid_request" and described == _DEAD):
        return ReconnectRequired("refresh-refused")
    return Rejected("refresh-refused")


def _basic(credentials: Credentials) -> dict[str, str]:
    pair = f"{credentials.client_id}:{credentials.client_secret.get_secret_value()}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


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
        f"{at.api}/2/oauth2/token",
        platform="x",
        refusal=refusal,
        headers=_basic(credentials),
        form=form,
    )
    return Grant(
        access_token=access_token(answer.document),
        refresh_token=secret(answer.document, "refresh_token"),
        expires_at=expiry(answer.document, "expires_in", now),
        refresh_expires_at=None,
        scopes=scopes(answer.document.get("scope"), asked),
    )


async def exchange_code(
    http: httpx.AsyncClient,
    credentials: Credentials,
    at: Endpoints,
    *,
    code: str,
    redirect_uri: str,
    code_verifier: str | None,
    now: datetime,
    asked: Sequence[str],
) -> Grant:
    """The code lives for 30 seconds."""
    form = {
        "code": code,
        "grant_type": "authorization_code",
        "redirect_uri": redirect_uri,
        "code_verifier": code_verifier or "",
    }
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
    """A token that X no longer knows is as good as revoked."""
    try:
        await call(
            http,
            "POST",
            f"{at.api}/2/oauth2/revoke",
            platform="x",
            refusal=_refused_refresh,
            headers=_basic(credentials),
            empty=True,
            form={"token": (grant.refresh_token or grant.access_token).get_secret_value()},
        )
    except (Rejected, ReconnectRequired):
        return


async def profile(http: httpx.AsyncClient, at: Endpoints, grant: Grant) -> Profile:
    found = await api.Api(http, at, grant.access_token, None).get("users/me", {})
    user = identifier(dig(found, "data", "id"))
    handle = identifier(dig(found, "data", "username"))
    if user is None or handle is None:
        raise Unavailable("garbage")
    return Profile(user, handle, text(dig(found, "data", "name")))
