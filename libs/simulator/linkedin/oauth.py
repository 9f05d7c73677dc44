"""LinkedIn login: authorize, token, refresh for those who have it, revoke (section 3.3)."""

import secrets
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import consent, wire
from libs.simulator.context import Sim
from libs.simulator.linkedin.refusals import oauth_refusal
from libs.simulator.people import Person
from libs.simulator.simulation import Simulation
from libs.simulator.wire import Json

SCOPES = (
    "openid",
    "profile",
    "email",
    "w_member_social",
    "w_organization_social",
    "r_organization_social",
    "rw_organization_admin",
    "r_organization_followers",
    "r_member_postAnalytics",
    "r_member_profileAnalytics",
)
CODE_LIFE = 1800
_DENIED = {
    "error": "user_cancelled_authorize",
    "error_description": "The user cancelled the authorization",
}


router = APIRouter(prefix="/linkedin-www/oauth/v2")


@router.api_route("/authorization", methods=["GET", "POST"])
async def authorize(request: Request, sim: Sim) -> Response:
    try:
        asked = _asked(sim, request)
    except wire.BadParameter as bad:
        return consent.page_error(f"Bummer, something went wrong: {bad.name} {bad.problem}.")
    if not set(asked.scopes) <= set(SCOPES):
        return consent.back(
            asked,
            {
                "error": "unauthorized_scope_error",
                "error_description": "A scope is not authorized for your application",
            },
        )

    def code(person: Person, scopes: tuple[str, ...]) -> str:
        return sim.grants.authorize(
            "linkedin",
            person.handle,
            scopes,
            redirect_uri=asked.redirect_uri,
            life=CODE_LIFE,
            prefix="AQT",
        ).value

    ways = consent.Ways(code, _DENIED)
    people = sim.world.of("linkedin")
    return await consent.answer(request, asked, ways, people, sim.choice("linkedin"))


@router.post("/accessToken")
async def access_token(request: Request, sim: Sim) -> Response:
    given = await wire.form(
        request,
        {"grant_type", "client_id", "client_secret"},
        {"code", "redirect_uri", "refresh_token"},
    )
    _check_client(sim, given)
    if given["grant_type"] == "authorization_code":
        if "refresh_token" in given:
            raise wire.BadParameter("refresh_token", "unknown")
        for name in ("code", "redirect_uri"):
            if not given.get(name):
                raise wire.BadParameter(name, "missing")
        return JSONResponse(_first(sim, given))
    if given["grant_type"] == "refresh_token":
        if not given.get("refresh_token"):
            raise wire.BadParameter("refresh_token", "missing")
        for name in ("code", "redirect_uri"):
            if name in given:
                raise wire.BadParameter(name, "unknown")
        return JSONResponse(_refreshed(sim, given["refresh_token"]))
    raise oauth_refusal("unsupported_grant_type", "The grant type is not supported")


@router.post("/revoke")
async def revoke(request: Request, sim: Sim) -> Response:
    given = await wire.form(request, {"client_id", "client_secret", "token"})
    _check_client(sim, given)
    found = sim.grants.by_access("linkedin", given["token"])
    if found is None:
        raise oauth_refusal("invalid_request", "The token is not valid")
    sim.grants.revoke([found])
    return JSONResponse({})


def _first(sim: Simulation, given: dict[str, str]) -> Json:
    code = sim.grants.redeem("linkedin", given["code"], given["redirect_uri"])
    if code is None:
        raise oauth_refusal(
            "invalid_request",
            "Unable to retrieve access token: appid/redirect uri/code verifier does not match "
            "authorization code. Or authorization code expired.",
        )
    person = sim.world.person("linkedin", code.handle)
    if person is None:
        raise oauth_refusal("invalid_request", "The member no longer exists")
    # Asking for another set of scopes invalidates the tokens of the old set.
    others = [
        t for t in sim.grants.of("linkedin", code.handle) if set(t.scopes) != set(code.scopes)
    ]
    if others:
        sim.grants.revoke(others)
    refresh = until = None
    if person.refresh_tokens:
        refresh = _value()
        until = sim.clock.now() + timedelta(seconds=sim.settings.linkedin_refresh_token)
    return _issued(sim, code.handle, code.scopes, refresh, until)


def _refreshed(sim: Simulation, value: str) -> Json:
    old = sim.grants.refreshable("linkedin", value)
    if old is None:
        raise oauth_refusal("invalid_request", "The provided refresh token is invalid")
    # The refresh token stays and keeps its end; only the newest access token carries it.
    return _issued(sim, old.handle, old.scopes, old.refresh, old.refresh_expires_at)


def _issued(
    sim: Simulation,
    handle: str,
    scopes: tuple[str, ...],
    refresh: str | None,
    until: datetime | None,
) -> Json:
    life = sim.settings.linkedin_access_token
    token = sim.grants.issue(
        "linkedin",
        handle,
        scopes,
        life,
        access=_value(),
        refresh=refresh,
        refresh_expires_at=until,
    )
    reply: Json = {
        "access_token": token.access,
        "expires_in": life,
        "scope": ",".join(scopes),
        "token_type": "Bearer",
    }
    if refresh is not None and until is not None:
        reply["refresh_token"] = refresh
        left = until - sim.clock.now()
        reply["refresh_token_expires_in"] = int(left.total_seconds())
    return reply


def _check_client(sim: Simulation, given: dict[str, str]) -> None:
    right = (sim.settings.linkedin_client_id, sim.settings.linkedin_client_secret)
    if (given["client_id"], given["client_secret"]) != right:
        raise oauth_refusal("invalid_client", "Client authentication failed", 401)


def _asked(sim: Simulation, request: Request) -> consent.Asked:
    given = wire.query(
        request,
        {"response_type", "client_id", "redirect_uri", "state", "scope"},
        {"prompt"},
    )
    if given["client_id"] != sim.settings.linkedin_client_id:
        raise wire.BadParameter("client_id", "unknown")
    if not consent.loopback_callback(given["redirect_uri"], "linkedin"):
        raise wire.BadParameter("redirect_uri", "unknown")
    if given["response_type"] != "code":
        raise wire.BadParameter("response_type", "malformed")
    scopes = tuple(given["scope"].split(" "))
    return consent.Asked("linkedin", given["redirect_uri"], given["state"], scopes)


def _value() -> str:
    # Real tokens are this long, and may grow to 1000 characters.
    return "AQ" + secrets.token_urlsafe(260)
