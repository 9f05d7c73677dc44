"""X login: OAuth 2.0 with PKCE, rotating refresh tokens, revoke (section 4.3)."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import consent, wire
from libs.simulator.context import Sim
from libs.simulator.people import Person
from libs.simulator.simulation import Simulation
from libs.simulator.wire import Json
from libs.simulator.x.refusals import oauth_refusal

SCOPES = (
    "tweet.read",
    "tweet.write",
    "users.read",
    "media.write",
    "offline.access",
    "follows.read",
    "like.read",
)
CODE_LIFE = 30
_DENIED = {"error": "access_denied"}
_BAD_TOKEN = "Value passed for the token was invalid."  # noqa: S105
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


router = APIRouter()


@router.api_route("/x-www/i/oauth2/authorize", methods=["GET", "POST"])
async def authorize(request: Request, sim: Sim) -> Response:
    try:
        asked, challenge = _asked(sim, request)
    except wire.BadParameter as bad:
        return consent.page_error(
            f"Something went wrong. You weren't able to give access: {bad.name} {bad.problem}."
        )

    def code(person: Person, scopes: tuple[str, ...]) -> str:
        return sim.grants.authorize(
            "x",
            person.handle,
            scopes,
            redirect_uri=asked.redirect_uri,
            life=CODE_LIFE,
            challenge=challenge,
        ).value

    people = sim.world.of("x")
    ways = consent.Ways(code, _DENIED)
    return await consent.answer(request, asked, ways, people, sim.choice("x"))


@router.post("/x-api/2/oauth2/token")
async def token(request: Request, sim: Sim) -> Response:
    _check_client(sim, request)
    given = await wire.form(
        request,
        {"grant_type"},
        {"code", "redirect_uri", "code_verifier", "client_id", "refresh_token"},
    )
    if given.get("client_id", sim.settings.x_client_id) != sim.settings.x_client_id:
        raise oauth_refusal("invalid_request", "Value passed for the client id was invalid.")
    if given["grant_type"] == "authorization_code":
        for name in ("code", "redirect_uri", "code_verifier"):
            if not given.get(name):
                raise wire.BadParameter(name, "missing")
        return JSONResponse(_first(sim, given))
    if given["grant_type"] == "refresh_token":
        if not given.get("refresh_token"):
            raise wire.BadParameter("refresh_token", "missing")
        return JSONResponse(_refreshed(sim, given["refresh_token"]))
    raise oauth_refusal("unsupported_grant_type", "The grant_type is not supported.")


@router.post("/x-api/2/oauth2/revoke")
async def revoke(request: Request, sim: Sim) -> Response:
    _check_client(sim, request)
    given = await wire.form(request, {"token"}, {"token_type_hint", "client_id"})
    found = sim.grants.by_access("x", given["token"]) or sim.grants.by_refresh("x", given["token"])
    if found is None:
        raise oauth_refusal("invalid_request", _BAD_TOKEN)
    sim.grants.revoke([found])
    return JSONResponse({"revoked": True})


def _first(sim: Simulation, given: dict[str, str]) -> Json:
    code = sim.grants.redeem("x", given["code"], given["redirect_uri"])
    if code is None:
        raise oauth_refusal(
            "invalid_request", "Value passed for the authorization code was invalid."
        )
    if not _VERIFIER.fullmatch(given["code_verifier"]) or not hmac.compare_digest(
        _s256(given["code_verifier"]), code.challenge or ""
    ):
        raise oauth_refusal("invalid_request", "Value passed for the code_verifier is invalid.")
    return _issued(sim, code.handle, code.scopes)


def _refreshed(sim: Simulation, value: str) -> Json:
    old = sim.grants.refreshable("x", value)
    if old is None:
        raise oauth_refusal("invalid_request", _BAD_TOKEN)
    sim.grants.replace(old, access_too=True)
    return _issued(sim, old.handle, old.scopes)


def _issued(sim: Simulation, handle: str, scopes: tuple[str, ...]) -> Json:
    offline = "offline.access" in scopes
    until = sim.clock.now() + timedelta(seconds=sim.settings.x_refresh_token)
    issued = sim.grants.issue(
        "x",
        handle,
        scopes,
        sim.settings.x_access_token,
        access=_value(":at"),
        refresh=_value(":rt") if offline else None,
        refresh_expires_at=until if offline else None,
    )
    reply: Json = {
        "token_type": "bearer",
        "expires_in": sim.settings.x_access_token,
        "access_token": issued.access,
        "scope": " ".join(scopes),
    }
    if issued.refresh is not None:
        reply["refresh_token"] = issued.refresh
    return reply


def _check_client(sim: Simulation, request: Request) -> None:
    """A confidential client shows its id and secret by HTTP Basic, and nothing else."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    right = f"{sim.settings.x_client_id}:{sim.settings.x_client_secret}".encode()
    try:
        shown = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        shown = b""
    if scheme.lower() != "basic" or not hmac.compare_digest(shown, right):
        raise oauth_refusal("unauthorized_client", "Missing valid authorization header", 401)


def _asked(sim: Simulation, request: Request) -> tuple[consent.Asked, str]:
    given = wire.query(
        request,
        {
            "response_type",
            "client_id",
            "redirect_uri",
            "scope",
            "state",
            "code_challenge",
            "code_challenge_method",
        },
    )
    if given["client_id"] != sim.settings.x_client_id:
        raise wire.BadParameter("client_id", "unknown")
    if not consent.loopback_callback(given["redirect_uri"], "x"):
        raise wire.BadParameter("redirect_uri", "unknown")
    if given["response_type"] != "code":
        raise wire.BadParameter("response_type", "malformed")
    if given["code_challenge_method"] != "S256":
        raise wire.BadParameter("code_challenge_method", "malformed")
    if not _CHALLENGE.fullmatch(given["code_challenge"]):
        raise wire.BadParameter("code_challenge", "malformed")
    scopes = tuple(given["scope"].split(" "))
    if not set(scopes) <= set(SCOPES):
        raise wire.BadParameter("scope", "malformed")
    asked = consent.Asked("x", given["redirect_uri"], given["state"], scopes)
    return asked, given["code_challenge"]


def _s256(verifier: str) -> str:
    raw = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _value(kind: str) -> str:
    stamp = secrets.token_urlsafe(48) + kind + ":1"
    return base64.urlsafe_b64encode(stamp.encode()).decode().rstrip("=")
