"""LinkedIn's OAuth. Refresh tokens are for approved partners only, and stay the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote, urlencode

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
from libs.platforms.linkedin import rest
from libs.platforms.shapes import dig, identifier, mappings, text
from libs.platforms.tokens import access_token, expiry, scopes, secret

_ORGANISATION = "urn:li:organization:"


def authorize_url(
    credentials: Credentials, at: Endpoints, redirect_uri: str, state: str, wanted: Sequence[str]
) -> str:
    query = {
        "response_type": "code",
        "client_id": credentials.client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "scope": " ".join(wanted),
    }
    return f"{at.consent}/oauth/v2/authorization?{urlencode(query, quote_via=quote)}"


def _refused_code(answer: Answer) -> PlatformError:
    error = rest.refusal(answer)
    return error if isinstance(error, RateLimited) else Rejected("code-refused")


def _refused_refresh(answer: Answer) -> PlatformError:
    """A dead refresh token is `invalid_request`, sometimes `invalid_grant`."""
    if answer.status == 429:
        return rest.refusal(answer)
    if text(dig(answer.document, "error")) in {"invalid_request", "invalid_grant"}:
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
        f"{at.www}/oauth/v2/accessToken",
        platform="linkedin",
        refusal=refusal,
        form={
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret.get_secret_value(),
            **form,
        },
    )
    return Grant(
        access_token=access_token(answer.document),
        refresh_token=secret(answer.document, "refresh_token"),
        expires_at=expiry(answer.document, "expires_in", now),
        refresh_expires_at=expiry(answer.document, "refresh_token_expires_in", now),
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
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    return await _token(
        http, credentials, at, form=form, refusal=_refused_code, asked=asked, now=now
    )


async def refresh(
    http: httpx.AsyncClient, credentials: Credentials, at: Endpoints, grant: Grant, now: datetime
) -> Grant:
    """An answer without a refresh token means that the old one, and its end, stay."""
    if grant.refresh_token is None:
        raise ReconnectRequired("no-refresh-token")
    form = {
        "grant_type": "refresh_token",
        "refresh_token": grant.refresh_token.get_secret_value(),
    }
    renewed = await _token(
        http, credentials, at, form=form, refusal=_refused_refresh, asked=grant.scopes, now=now
    )
    return replace(
        renewed,
        refresh_token=renewed.refresh_token or grant.refresh_token,
        refresh_expires_at=renewed.refresh_expires_at or grant.refresh_expires_at,
    )


async def revoke(
    http: httpx.AsyncClient, credentials: Credentials, at: Endpoints, grant: Grant
) -> None:
    """A token that LinkedIn no longer knows is as good as revoked."""
    try:
        await call(
            http,
            "POST",
            f"{at.www}/oauth/v2/revoke",
            platform="linkedin",
            refusal=_refused_refresh,
            empty=True,
            form={
                "client_id": credentials.client_id,
                "client_secret": credentials.client_secret.get_secret_value(),
                "token": grant.access_token.get_secret_value(),
            },
        )
    except (Rejected, ReconnectRequired):
        return


async def profile(http: httpx.AsyncClient, at: Endpoints, grant: Grant) -> Profile:
    """The organisation the member administers (the first, when there are more), else the member.

    Its id is the URN.
    """
    api = rest.Rest(http, at, grant.access_token)
    if "rw_organization_admin" in grant.scopes:
        roles = await api.get_or_none(
            "organizationAcls", q="roleAssignee", role="ADMINISTRATOR", state="APPROVED"
        )
        for role in mappings(dig(roles, "elements")):
            found = identifier(role.get("organization")) or identifier(
                role.get("organizationTarget")
            )
            if found is not None and found.startswith(_ORGANISATION):
                return await _organisation(api, found)
    member = await api.userinfo()
    number, name = identifier(member.get("sub")), text(member.get("name"))
    if number is None:
        raise Unavailable("garbage")
    return Profile(f"urn:li:person:{number}", identifier(name) or number, name)


async def _organisation(api: rest.Rest, found: str) -> Profile:
    number = found.removeprefix(_ORGANISATION)
    about = await api.get(f"organizations/{rest.urn(number)}")
    name = text(about.get("localizedName"))
    handle = identifier(about.get("vanityName")) or identifier(name) or number
    return Profile(found, handle, name)
