"""LinkedIn errors: `{status, serviceErrorCode?, code?, message}`; OAuth has its own shape."""

from libs.simulator.grants import Grants, Token
from libs.simulator.wire import BadParameter, Json, Refusal


def refusal(
    status: int, code: str | None, message: str, service_code: int | None = None
) -> Refusal:
    body: Json = {"status": status}
    if service_code is not None:
        body["serviceErrorCode"] = service_code
    if code is not None:
        body["code"] = code
    body["message"] = message
    return Refusal(status, body)


def oauth_refusal(error: str, description: str, status: int = 400) -> Refusal:
    return Refusal(status, {"error": error, "error_description": description})


def bad_parameter(bad: BadParameter, path: str) -> Refusal:
    words = {
        "missing": f'A required parameter "{bad.name}" is missing',
        "unknown": f'Query parameter "{bad.name}" is not allowed',
        "repeated": f'Parameter "{bad.name}" was given twice',
        "malformed": f'Invalid value for parameter "{bad.name}"',
    }[bad.problem]
    if path.startswith("/linkedin-www"):
        return oauth_refusal("invalid_request", words)
    return refusal(400, "ILLEGAL_ARGUMENT", words)


def bad_content_type(path: str) -> Refusal:
    if path.startswith("/linkedin-www"):
        return oauth_refusal(
            "invalid_request", "The content type must be application/x-www-form-urlencoded"
        )
    return refusal(415, "UNSUPPORTED_MEDIA_TYPE", "The content type must be application/json")


def not_found(status: int) -> Refusal:
    if status == 405:
        return refusal(405, "METHOD_NOT_ALLOWED", "No such method on this resource")
    return refusal(404, "RESOURCE_NOT_FOUND", "No virtual resource found")


def broken() -> Refusal:
    return refusal(500, "INTERNAL_SERVER_ERROR", "Internal server error")


def throttled() -> Refusal:
    """Section 3.6: no code and no rate-limit headers."""
    message = "Resource level throttle limit for calls to this resource is reached."
    return Refusal(429, {"message": message, "status": 429})


def usable(grants: Grants, value: str | None) -> Token:
    """The live token behind a value; raises the 401 that fits (section 3.3)."""
    if not value:
        raise refusal(401, "EMPTY_ACCESS_TOKEN", "Empty oauth2 access token", 65604)
    token = grants.by_access("linkedin", value)
    if token is None:
        raise refusal(401, "INVALID_ACCESS_TOKEN", "Invalid access token", 65600)
    if token.access_state != "live":
        raise refusal(
            401, "REVOKED_ACCESS_TOKEN", "The token used in the request has been revoked", 65601
        )
    if grants.expired(token):
        raise refusal(
            401, "EXPIRED_ACCESS_TOKEN", "The token used in the request has expired", 65602
        )
    return token


def denied(what: str) -> Refusal:
    """403: the scope was not granted or the member has no such role."""
    return refusal(403, "ACCESS_DENIED", f"Not enough permissions to access: {what}", 100)
