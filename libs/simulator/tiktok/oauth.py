"""TikTok login: authorize, token, rotating refresh, revoke (section 2.3)."""

import secrets
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import consent, wire
from libs.simulator.context import Sim
from libs.simulator.grants import Token
from libs.simulator.people import Person
from libs.simulator.simulation import Simulation
from libs.simulator.tiktok.refusals import oauth_refusal
from libs.simulator.wire import Json

SCOPES = (
    "user.info.basic",
    "user.info.profile",
    "user.info.stats",
    "video.list",
    "video.publish",
    "video.upload",
)
CODE_LIFE = 600
_DENIED = {"error": "access_denied", "error_description": "The user cancelled the authorization."}


router = APIRouter()


@router.api_route("/tiktok-www/v2/auth/authorize/", methods=["GET", "POST"])
async def authorize(request: Request, sim: Sim) -> Response:
    try:
        asked = _asked(sim, request)
    except wire.BadParameter as bad:
        return consent.page_error(f"Something went wrong: {bad.name} is {bad.problem}.")

    def code(person: Person, scopes: tuple[str, ...]) -> str:
        # Real codes hold characters that must be decoded from the URL.
        return sim.grants.authorize(
            "tiktok",
            person.handle,
            scopes,
            redirect_uri=asked.redirect_uri,
            life=CODE_LIFE,
            suffix="*0!5123.va",
        ).value

    ways = consent.Ways(code, _DENIED)
    people = sim.world.of("tiktok")
    return await consent.answer(request, asked, ways, people, sim.choice("tiktok"))


@router.post("/tiktok-api/v2/oauth/token/")
async def token(request: Request, sim: Sim) -> Response:
    given = await wire.form(
        request,
        {"client_key", "client_secret", "grant_type"},
        {"code", "redirect_uri", "refresh_token", "code_verifier"},
    )
    _check_client(sim, given)
    needed: tuple[str, ...]
    other: tuple[str, ...]
    if given["grant_type"] == "authorization_code":
        needed, other = ("code", "redirect_uri"), ("refresh_token",)
    elif given["grant_type"] == "refresh_token":
        needed, other = ("refresh_token",), ("code", "redirect_uri", "code_verifier")
    else:
        raise oauth_refusal("unsupported_grant_type", "The grant type is not supported.")
    for name in needed:
        if not given.get(name):
            raise wire.BadParameter(name, "missing")
    for name in other:
        if name in given:
            raise wire.BadParameter(name, "unknown")
    if "code" in given:
        return JSONResponse(_first(sim, given))
    return JSONResponse(_refreshed(sim, given["refresh_token"]))


@router.post("/tiktok-api/v2/oauth/revoke/")
async def revoke(request: Request, sim: Sim) -> Response:
    given = await wire.form(request, {"client_key", "client_secret", "token"})
    _check_client(sim, given)
    found = sim.grants.by_access("tiktok", given["token"])
    if found is None:
        raise oauth_refusal("invalid_request", "The access token is invalid or not found.")
    sim.grants.revoke(sim.grants.of("tiktok", found.handle))
    return JSONResponse({})


def _first(sim: Simulation, given: dict[str, str]) -> Json:
    code = sim.grants.redeem("tiktok", given["code"], given["redirect_uri"])
    if code is None:
        raise oauth_refusal("invalid_grant", "Authorization code is expired or invalid.")
    until = sim.clock.now() + timedelta(seconds=sim.settings.tiktok_refresh_token)
    return _issued(sim, code.handle, code.scopes, until)


def _refreshed(sim: Simulation, value: str) -> Json:
    old = sim.grants.refreshable("tiktok", value)
    if old is None or old.refresh_expires_at is None:
        raise oauth_refusal("invalid_grant", "Refresh token is invalid or expired.")
    sim.grants.replace(old, access_too=False)
    return _issued(sim, old.handle, old.scopes, old.refresh_expires_at)


def _issued(sim: Simulation, handle: str, scopes: tuple[str, ...], until: datetime) -> Json:
    issued = sim.grants.issue(
        "tiktok",
        handle,
        scopes,
        sim.settings.tiktok_access_token,
        access="act." + secrets.token_urlsafe(48) + "!5123.va",
        refresh="rft." + secrets.token_urlsafe(48) + "!5123.va",
        refresh_expires_at=until,
    )
    return _reply(sim, issued)


def _check_client(sim: Simulation, given: dict[str, str]) -> None:
    right = (sim.settings.tiktok_client_key, sim.settings.tiktok_client_secret)
    if (given["client_key"], given["client_secret"]) != right:
        raise oauth_refusal("invalid_client", "Client key or secret is incorrect.", 401)


def _reply(sim: Simulation, token: Token) -> Json:
    person = sim.world.person("tiktok", token.handle)
    if person is None or token.refresh_expires_at is None:
        raise oauth_refusal("invalid_grant", "The user no longer exists.")
    left = token.refresh_expires_at - sim.clock.now()
    return {
        "open_id": person.account_id,
        "scope": ",".join(token.scopes),
        "access_token": token.access,
        "expires_in": sim.settings.tiktok_access_token,
        "refresh_token": token.refresh,
        "refresh_expires_in": int(left.total_seconds()),
        "token_type": "Bearer",
    }


def _asked(sim: Simulation, request: Request) -> consent.Asked:
    given = wire.query(
        request,
        {"client_key", "response_type", "scope", "redirect_uri", "state"},
        {"disable_auto_auth", "code_challenge", "code_challenge_method"},
    )
    if given["client_key"] != sim.settings.tiktok_client_key:
        raise wire.BadParameter("client_key", "unknown")
    if not consent.loopback_callback(given["redirect_uri"], "tiktok"):
        raise wire.BadParameter("redirect_uri", "unknown")
    if given["response_type"] != "code":
        raise wire.BadParameter("response_type", "malformed")
    scopes = wire.listed(given["scope"], "scope", SCOPES)
    return consent.Asked("tiktok", given["redirect_uri"], given["state"], tuple(scopes))
