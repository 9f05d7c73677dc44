"""Graph API errors: `{"error": {message, type, code, error_subcode?, fbtrace_id}}`."""

import secrets

from libs.simulator.grants import Grants, Token
from libs.simulator.wire import BadParameter, Json, Refusal


def refusal(
    status: int,
    code: int,
    message: str,
    subcode: int | None = None,
    *,
    kind: str = "OAuthException",
    transient: bool | None = None,
) -> Refusal:
    error: Json = {"message": message, "type": kind, "code": code}
    if subcode is not None:
        error["error_subcode"] = subcode
    if transient is not None:
        error["is_transient"] = transient
    error["fbtrace_id"] = "A" + secrets.token_urlsafe(16)
    return Refusal(status, {"error": error})


def oauth_refusal(message: str, status: int = 400) -> Refusal:
    """api.instagram.com has an older, flat shape for its one endpoint."""
    return Refusal(
        status, {"error_type": "OAuthException", "code": status, "error_message": message}
    )


def bad_parameter(bad: BadParameter, path: str) -> Refusal:
    words = {
        "missing": f"The parameter {bad.name} is required.",
        "unknown": f"Unexpected parameter: {bad.name}",
        "repeated": f"The parameter {bad.name} was given twice.",
        "malformed": f"Param {bad.name} is not valid.",
    }[bad.problem]
    if path.startswith("/instagram-api"):
        return oauth_refusal(words)
    return refusal(400, 100, f"(#100) {words}", kind="IGApiException")


def bad_content_type(path: str) -> Refusal:
    if path.startswith("/instagram-api"):
        return oauth_refusal("The body must be application/x-www-form-urlencoded.")
    return refusal(400, 100, "(#100) Unsupported content type.", kind="IGApiException")


def not_found(status: int) -> Refusal:
    return refusal(400, 2500, "Unknown path components", kind="GraphMethodException")


def broken() -> Refusal:
    return refusal(500, 2, "An unexpected error has occurred. Please retry.", transient=True)


def throttled(status: int, code: int = 4) -> Refusal:
    """Section 1.6: 4 is the app's own limit, 80002 the account's; usually not HTTP 429."""
    words = {
        4: "(#4) Application request limit reached",
        80002: "(#80002) There have been too many calls to this Instagram account.",
    }
    return refusal(status, code, words[code], transient=True)


def usable(grants: Grants, value: str | None) -> Token:
    """The live token behind a value; raises the 190 that fits (section 1.3)."""
    if not value:
        raise refusal(400, 2500, "An active access token must be used to query information.")
    token = grants.by_access("instagram", value)
    if token is None:
        raise refusal(400, 190, "Invalid OAuth access token - Cannot parse access token", 467)
    if token.access_state != "live":
        raise refusal(
            400, 190, "Error validating access token: The user has not authorized application", 458
        )
    if grants.expired(token):
        raise refusal(400, 190, "Error validating access token: Session has expired", 463)
    return token


def demand(token: Token, scope: str) -> None:
    """Raises the permission error unless the token's owner granted the scope."""
    if scope not in token.scopes:
        raise refusal(403, 10, "(#10) Application does not have permission for this action")
