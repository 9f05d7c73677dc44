"""Instagram Login: authorize, short token, exchange, refresh (section 1.3)."""

import secrets
from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import consent, wire
from libs.simulator.context import Sim
from libs.simulator.instagram.refusals import oauth_refusal, refusal, usable
from libs.simulator.people import Person
from libs.simulator.simulation import Simulation

SCOPES = (
    "instagram_business_basic",
    "instagram_business_content_publish",
    "instagram_business_manage_comments",
    "instagram_business_manage_insights",
    "instagram_business_manage_messages",
)
CODE_LIFE = 3600
_OLD_ENOUGH = timedelta(hours=24)
_DENIED = {
    "error": "access_denied",
    "error_reason": "user_denied",
    "error_description": "The user denied your request.",
}
_UNKNOWN_PERSON = "This authorization code belongs to nobody."


router = APIRouter()


@router.api_route("/instagram-www/oauth/authorize", methods=["GET", "POST"])
async def authorize(request: Request, sim: Sim) -> Response:
    try:
        asked = _asked(sim, request)
    except wire.BadParameter as bad:
        return consent.page_error(f"Invalid request: {bad.name} is {bad.problem}.")

    def code(person: Person, scopes: tuple[str, ...]) -> str:
        return sim.grants.authorize(
            "instagram",
            person.handle,
            scopes,
            redirect_uri=asked.redirect_uri,
            life=CODE_LIFE,
            prefix="AQ",
        ).value

    ways = consent.Ways(code, _DENIED, fragment="#_")
    people = sim.world.of("instagram")
    return await consent.answer(request, asked, ways, people, sim.choice("instagram"))


@router.post("/instagram-api/oauth/access_token")
async def short_token(request: Request, sim: Sim) -> Response:
    given = await wire.form(
        request, {"client_id", "client_secret", "grant_type", "redirect_uri", "code"}
    )
    if given["client_id"] != sim.settings.instagram_client_id:
        raise oauth_refusal("Invalid platform app")
    if given["client_secret"] != sim.settings.instagram_client_secret:
        raise oauth_refusal("Error validating client secret.")
    if given["grant_type"] != "authorization_code":
        raise oauth_refusal("Invalid grant_type.")
    code = sim.grants.redeem("instagram", given["code"], given["redirect_uri"])
    if code is None:
        raise oauth_refusal(
            "This authorization code has been used, has expired, or was not issued for this "
            "redirect_uri."
        )
    person = sim.world.person("instagram", code.handle)
    if person is None:
        raise oauth_refusal(_UNKNOWN_PERSON)
    token = sim.grants.issue(
        "instagram",
        code.handle,
        code.scopes,
        sim.settings.instagram_short_token,
        access=_value(),
    )
    return JSONResponse(
        {
            "data": [
                {
                    "access_token": token.access,
                    "user_id": person.member_id,
                    "permissions": ",".join(token.scopes),
                }
            ]
        }
    )


@router.get("/instagram-graph/access_token")
async def exchange(request: Request, sim: Sim) -> Response:
    given = wire.query(request, {"grant_type", "client_secret", "access_token"})
    if given["grant_type"] != "ig_exchange_token":
        raise refusal(400, 100, "(#100) Invalid grant_type", kind="IGApiException")
    if given["client_secret"] != sim.settings.instagram_client_secret:
        raise refusal(400, 1, "Error validating client secret.")
    token = usable(sim.grants, given["access_token"])
    if token.long_lived:
        raise refusal(
            400,
            100,
            "(#100) Session key invalid: not a short-lived token",
            452,
            kind="IGApiException",
        )
    return _long(sim, token.handle, token.scopes)


@router.get("/instagram-graph/refresh_access_token")
async def refresh(request: Request, sim: Sim) -> Response:
    given = wire.query(request, {"grant_type", "access_token"})
    if given["grant_type"] != "ig_refresh_token":
        raise refusal(400, 100, "(#100) Invalid grant_type", kind="IGApiException")
    token = usable(sim.grants, given["access_token"])
    if not token.long_lived:
        raise refusal(
            400, 100, "(#100) Only long-lived tokens can be refreshed", kind="IGApiException"
        )
    if sim.clock.now() - token.issued_at < _OLD_ENOUGH:
        raise refusal(
            400,
            100,
            "(#100) The access token must be at least 24 hours old to be refreshed",
            kind="IGApiException",
        )
    return _long(sim, token.handle, token.scopes)


def _long(sim: Simulation, handle: str, scopes: tuple[str, ...]) -> Response:
    life = sim.settings.instagram_long_token
    token = sim.grants.issue("instagram", handle, scopes, life, access=_value(), long_lived=True)
    return JSONResponse(
        {
            "access_token": token.access,
            "token_type": "bearer",
            "expires_in": life,
            "permissions": ",".join(scopes),
        }
    )


def _asked(sim: Simulation, request: Request) -> consent.Asked:
    given = wire.query(
        request,
        {"client_id", "redirect_uri", "response_type", "scope", "state"},
        {"enable_fb_login", "force_authentication", "force_reauth"},
    )
    if given["client_id"] != sim.settings.instagram_client_id:
        raise wire.BadParameter("client_id", "unknown")
    if not consent.loopback_callback(given["redirect_uri"], "instagram"):
        raise wire.BadParameter("redirect_uri", "unknown")
    if given["response_type"] != "code":
        raise wire.BadParameter("response_type", "malformed")
    scopes = wire.listed(given["scope"], "scope", SCOPES)
    if SCOPES[0] not in scopes:
        raise wire.BadParameter("scope", "malformed")
    return consent.Asked("instagram", given["redirect_uri"], given["state"], tuple(scopes))


def _value() -> str:
    return "IGAA" + secrets.token_urlsafe(120)
