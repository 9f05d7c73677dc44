"""TikTok errors: `{data, error: {code, message, log_id}}`, and flat ones from the OAuth paths."""

import secrets

from libs.simulator.curves import digest
from libs.simulator.grants import Grants, Token
from libs.simulator.wire import BadParameter, Json, Refusal

_OAUTH = "/tiktok-api/v2/oauth/"


def log_id() -> str:
    return secrets.token_hex(16).upper()


def refusal(status: int, code: str, message: str) -> Refusal:
    error = {"code": code, "message": message, "log_id": log_id()}
    return Refusal(status, {"data": {}, "error": error})


def oauth_refusal(error: str, description: str, status: int = 400) -> Refusal:
    return Refusal(status, {"error": error, "error_description": description, "log_id": log_id()})


def done(data: Json) -> Json:
    """A successful reply around `data`; equal data gives an equal reply."""
    stamp = f"{digest(data):016X}"
    return {"data": data, "error": {"code": "ok", "message": "", "log_id": stamp}}


def bad_parameter(bad: BadParameter, path: str) -> Refusal:
    words = f"Request parameter {bad.name} is {bad.problem}."
    if path.startswith(_OAUTH):
        return oauth_refusal("invalid_request", words)
    return refusal(400, "invalid_params", words)


def bad_content_type(path: str) -> Refusal:
    if path.startswith(_OAUTH):
        return oauth_refusal(
            "invalid_request", "Only `application/x-www-form-urlencoded` is accepted."
        )
    return refusal(400, "invalid_params", "Content-Type must be application/json.")


def not_found(status: int) -> Refusal:
    return refusal(status, "invalid_params" if status == 405 else "not_found", "No such endpoint.")


def broken() -> Refusal:
    return refusal(500, "internal_error", "Something is wrong on our side; please retry.")


def throttled() -> Refusal:
    return refusal(429, "rate_limit_exceeded", "The API rate limit was exceeded.")


def usable(grants: Grants, value: str | None) -> Token:
    """The live token behind a value; raises access_token_invalid otherwise."""
    token = grants.by_access("tiktok", value)
    if token is None or token.access_state != "live" or grants.expired(token):
        raise refusal(401, "access_token_invalid", "The access token is invalid or not found.")
    return token


def demand(granted: tuple[str, ...], scope: str) -> None:
    """Raises scope_not_authorized unless the scope was granted."""
    if scope not in granted:
        raise refusal(401, "scope_not_authorized", f"The user did not authorize the scope {scope}.")
