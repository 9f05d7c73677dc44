"""RFC 9457 problem details: one shape for every error, stable slugs, never the value sent."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import errors as pg
from sqlalchemy import exc as sa
from starlette.exceptions import HTTPException

from libs.chassis.refusals import Missing, Refused

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
_SLUGS = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}


class Problem(Exception):
    """An error with an HTTP status and a stable slug. Subclass it once per kind of error."""

    status = 400
    slug = "bad-request"
    title = "The request cannot be carried out"

    def __init__(
        self, detail: str | None = None, *, headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.headers = headers
        self.members = members


class Unauthorized(Problem):
    status = 401
    slug = "unauthorized"
    title = "Sign in first"


class Forbidden(Problem):
    status = 403
    slug = "forbidden"
    title = "Your role does not allow this"


class NotFound(Problem):
    status = 404
    slug = "not-found"
    title = "There is nothing here, or not for you"


class Conflict(Problem):
    status = 409
    slug = "conflict"
    title = "Something else changed this at the same moment; read it again and retry"


class TooLarge(Problem):
    status = 413
    slug = "body-too-large"
    title = "The body is larger than this endpoint takes"


class UnsupportedMedia(Problem):
    status = 415
    slug = "unsupported-media"
    title = "This content type or encoding is not accepted"


class Unprocessable(Problem):
    status = 422
    slug = "invalid-input"
    title = "The input does not have the expected form"


class TooManyRequests(Problem):
    status = 429
    slug = "too-many-requests"
    title = "Too many attempts; wait and try again"


class Unavailable(Problem):
    status = 503
    slug = "unavailable"
    title = "A part this needs is not answering; try again shortly"


class InvalidJson(HTTPException):
    """A body that `strict_json` refuses; `reason` is its slug.

    An HTTPException because FastAPI lets only those through from reading a body.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(422, "The body is not acceptable JSON")
        self.reason = reason


def problem(
    status: int,
    slug: str,
    title: str,
    detail: str | None = None,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """A problem-details response."""
    body = {"type": f"urn:rookery:problem:{slug}", "title": title, "status": status, **members}
    if detail:
        body["detail"] = detail
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> JSONResponse:
        return problem(
            error.status, error.slug, error.title, error.detail, error.headers, **error.members
        )

    @app.exception_handler(Refused)
    async def _refused(_: Request, error: Refused) -> JSONResponse:
        return problem(404 if isinstance(error, Missing) else 409, error.slug, error.title)

    @app.exception_handler(RequestValidationError)
    async def _validation(_: Request, error: RequestValidationError) -> JSONResponse:
        # FastAPI's own handler repeats the input, passwords included.
        fields = [
            {"field": ".".join(str(part) for part in item["loc"]), "reason": item["type"]}
            for item in error.errors()
        ]
        return problem(422, Unprocessable.slug, Unprocessable.title, errors=fields)

    @app.exception_handler(InvalidJson)
    async def _json(_: Request, error: InvalidJson) -> JSONResponse:
        return problem(422, "invalid-json", error.detail, reason=error.reason)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        slug = _SLUGS.get(error.status_code, "http-error")
        headers = dict(error.headers) if error.headers else None
        return problem(error.status_code, slug, str(error.detail), headers=headers)

    @app.exception_handler(sa.DBAPIError)
    async def _database(_: Request, error: sa.DBAPIError) -> JSONResponse:
        if isinstance(error.orig, pg.DataError):  # NUL, out of range: the input's fault
            return problem(422, Unprocessable.slug, Unprocessable.title)
        if is_unavailable(error):
            log.warning("database unavailable", error=type(error.orig).__name__)
            return unavailable()
        log.error("database error", error=type(error.orig).__name__)
        return problem(500, "internal", "Something went wrong on our side")

    @app.exception_handler(sa.TimeoutError)
    async def _pool(_: Request, __: sa.TimeoutError) -> JSONResponse:
        return unavailable()

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", path=request.url.path, error=type(error).__name__)
        return problem(500, "internal", "Something went wrong on our side")


def unavailable() -> JSONResponse:
    """503 with Retry-After."""
    return problem(503, Unavailable.slug, Unavailable.title, headers={"Retry-After": "1"})


def is_unavailable(error: BaseException) -> bool:
    """Whether a database error means that the server is not there, rather than a wrong statement."""
    if isinstance(error, sa.TimeoutError):
        return True
    if not isinstance(error, sa.DBAPIError):
        return isinstance(error, (pg.Error, OSError)) and not isinstance(
            error, (pg.DataError, pg.IntegrityError, pg.ProgrammingError)
        )
    if error.connection_invalidated or isinstance(error, sa.InterfaceError):
        return True
    state = getattr(error.orig, "sqlstate", None)
    # 08 connection, 53 resources (disk full, too many connections), 57 shutting down / cancelled,
    # 58 system error; no state: the connection broke before the server could say one.
    return isinstance(error, sa.OperationalError) and (
        state is None or state[:2] in {"08", "53", "57", "58"}
    )
