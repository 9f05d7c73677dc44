"""X errors: problem documents, and OAuth's own shape."""

from libs.simulator.grants import Grants, Token
from libs.simulator.wire import BadParameter, Json, Refusal

_PROBLEMS = "https://api.x.com/2/problems/"


def refusal(
    status: int, title: str, detail: str, problem: str | None = None, **more: object
) -> Refusal:
    kind = "about:blank" if problem is None else _PROBLEMS + problem
    return Refusal(
        status, {"title": title, "type": kind, "status": status, "detail": detail, **more}
    )


def invalid(name: str, message: str) -> Refusal:
    """400 for one parameter, with the list of errors X puts beside the problem."""
    return refusal(
        400,
        "Invalid Request",
        "One or more parameters to your request was invalid.",
        "invalid-request",
        errors=[{"parameters": {name: []}, "message": message}],
    )


def oauth_refusal(error: str, description: str, status: int = 400) -> Refusal:
    return Refusal(status, {"error": error, "error_description": description})


def bad_parameter(bad: BadParameter, path: str) -> Refusal:
    if path.startswith("/x-api/2/oauth2/"):
        if bad.problem == "missing":
            return oauth_refusal("invalid_request", f"Missing required parameter [{bad.name}].")
        return oauth_refusal("invalid_request", f"Parameter [{bad.name}] is {bad.problem}.")
    words = {
        "missing": f"The query parameter [{bad.name}] can not be empty",
        "unknown": f"The query parameter [{bad.name}] is not one of those allowed",
        "repeated": f"The parameter [{bad.name}] was given twice",
        "malformed": f"The value of [{bad.name}] is not valid",
    }[bad.problem]
    return invalid(bad.name, words)


def bad_content_type(path: str) -> Refusal:
    if path.startswith("/x-api/2/oauth2/"):
        return oauth_refusal("invalid_request", "Content-Type must be form-urlencoded.")
    return refusal(
        415, "Unsupported Media Type", "The Content-Type header must be application/json."
    )


def not_found(status: int) -> Refusal:
    if status == 405:
        return refusal(405, "Method Not Allowed", "Method not allowed")
    return refusal(404, "Not Found", "Not Found")


def broken() -> Refusal:
    return refusal(503, "Service Unavailable", "Service Unavailable")


def throttled(headers: dict[str, str] | None = None) -> Refusal:
    refused = refusal(429, "Too Many Requests", "Too Many Requests")
    refused.headers.update(headers or {})
    return refused


def unauthorized() -> Refusal:
    return refusal(401, "Unauthorized", "Unauthorized")


def usable(grants: Grants, value: str | None) -> Token:
    """The live token behind a value; raises 401 otherwise."""
    token = grants.by_access("x", value)
    if token is None or token.access_state != "live" or grants.expired(token):
        raise unauthorized()
    return token


def demand(token: Token, *scopes: str) -> None:
    """Raises 403 unless every scope was granted."""
    missing: Json = {"required": [scope for scope in scopes if scope not in token.scopes]}
    if missing["required"]:
        raise refusal(
            403,
            "Forbidden",
            "Your client app is not configured with the scopes this endpoint requires: "
            + ", ".join(missing["required"]),
            "not-authorized-for-resource",
        )
