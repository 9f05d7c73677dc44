"""Registering, signing in, carrying on, signing out, and the keys that prove it."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints

from libs.chassis.errors import Problem, Unauthorized
from libs.chassis.http import StrictRoute, metadata_of
from libs.chassis.retry import on_conflict
from libs.contracts.envelope import Metadata
from libs.eventlog import log
from services.identity.domain import users
from services.identity.domain.users import normal_email
from services.identity.parts import Identity, Parts
from services.identity.projections.users import USERS, by_email, by_id, set_password
from services.identity.sessions import Session, owner_of
from services.identity.throttle import Attempt

router = APIRouter(route_class=StrictRoute, tags=["auth"])

_EMAIL = r"^[^@\s\x00-\x20\x7f]+@[^@\s\x00-\x20\x7f]+\.[^@\s\x00-\x20\x7f]+$"
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=255, pattern=_EMAIL),
    AfterValidator(normal_email),
]
NewPassword = Annotated[SecretStr, Field(min_length=8, max_length=128)]
Password = Annotated[SecretStr, Field(max_length=128)]
RefreshToken = Annotated[SecretStr, Field(max_length=512)]


class BadCredentials(Unauthorized):
    slug = "bad-credentials"
    title = "The e-mail address or the password is wrong"


class BadRefreshToken(Unauthorized):
    slug = "bad-refresh-token"
    title = "This refresh token is used up, expired or revoked; sign in again"


class Registration(BaseModel):
    email: Email
    password: NewPassword


class Registered(BaseModel):
    user_id: UUID


class Login(BaseModel):
    email: Email
    password: Password


class Refresh(BaseModel):
    refresh_token: RefreshToken


class Tokens(BaseModel):
    """`expires_in` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - no password
    expires_in: int


def _problems(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    return {problem.status: {"description": problem.title} for problem in problems}


@router.post(
    "/v1/auth/register",
    status_code=201,
    summary="Register with an e-mail address and a password of 8 to 128 characters",
    responses={409: {"description": users.EmailTaken.title}},
)
async def register(body: Registration, request: Request, identity: Identity) -> Registered:
    async with identity.hasher.slot():
        password_hash = await identity.hasher.hash(body.password)
    user_id = uuid4()
    async with identity.database.transaction(user_id=user_id) as connection:
        await log.decide(
            connection,
            USERS,
            users.stream(user_id),
            users.Register(user_id, body.email),
            workspace_id=None,
            metadata=metadata_of(request, user_id),
            now=identity.clock.now(),
        )
        await set_password(connection, user_id, password_hash)
    return Registered(user_id=user_id)


@router.post(
    "/v1/auth/login",
    summary="Sign in",
    responses={
        **_problems(BadCredentials),
        429: {"description": "Too many wrong passwords; see Retry-After"},
    },
)
async def login(body: Login, request: Request, response: Response, identity: Identity) -> Tokens:
    metadata = metadata_of(request)
    user_id = await _check_password(identity, body, metadata)
    session = await on_conflict(lambda: _log_in(identity, user_id, metadata_of(request, user_id)))
    response.headers["Cache-Control"] = "no-store"
    return await _tokens(identity, session)


@router.post(
    "/v1/auth/refresh",
    summary="Trade a refresh token, once, for new tokens",
    responses=_problems(BadRefreshToken),
)
async def refresh(body: Refresh, response: Response, identity: Identity) -> Tokens:
    user_id = owner_of(body.refresh_token)
    if user_id is None:
        raise BadRefreshToken
    async with identity.database.transaction(user_id=user_id) as connection:
        session = await identity.sessions.rotate(
            connection, body.refresh_token, now=identity.clock.now()
        )
    if session is None:
        raise BadRefreshToken
    response.headers["Cache-Control"] = "no-store"
    return await _tokens(identity, session)


@router.post("/v1/auth/logout", status_code=204, summary="End the session of a refresh token")
async def logout(body: Refresh, identity: Identity) -> None:
    user_id = owner_of(body.refresh_token)
    if user_id is None:
        return
    async with identity.database.transaction(user_id=user_id) as connection:
        await identity.sessions.end(connection, body.refresh_token, now=identity.clock.now())


@router.get("/.well-known/jwks.json", summary="The public keys of access tokens")
async def jwks(response: Response, identity: Identity) -> dict[str, Any]:
    response.headers["Cache-Control"] = "public, max-age=300"
    return identity.signer.jwks


async def _check_password(identity: Parts, body: Login, metadata: Metadata) -> UUID:
    """The person with this password. Raises BadCredentials or TooManyRequests.

    A known and an unknown address go through the same statements and one hash.
    """
    attempt = Attempt("password", account=body.email, address=metadata.ip)
    async with identity.hasher.slot():  # so that no more guesses are under way than slots
        async with identity.database.transaction() as connection:
            await attempt.begin(connection, identity.clock.now())
        async with identity.database.transaction() as connection:
            found = await by_email(connection, body.email)
        known = found.password_hash if found else None
        right = await identity.hasher.matches(body.password, known)
        if not right or found is None:
            raise BadCredentials
        async with identity.database.transaction() as connection:
            await attempt.succeeded(connection)
    return found.user_id


async def _log_in(identity: Parts, user_id: UUID, metadata: Metadata) -> Session:
    now = identity.clock.now()
    async with identity.database.transaction(user_id=user_id) as connection:
        await log.decide(
            connection,
            USERS,
            users.stream(user_id),
            users.LogIn(),
            workspace_id=None,
            metadata=metadata,
            now=now,
        )
        return await identity.sessions.start(
            connection, user_id, now=now, ip=metadata.ip, user_agent=metadata.user_agent
        )


async def _tokens(identity: Parts, session: Session) -> Tokens:
    async with identity.database.transaction(user_id=session.user_id) as connection:
        person = await by_id(connection, session.user_id)
    if person is None:
        raise BadRefreshToken
    return Tokens(
        access_token=identity.signer.access_token(
            person.id,
            session_id=session.id,
            operator=person.email in identity.operator_emails,
            now=identity.clock.now(),
        ),
        refresh_token=session.refresh_token.get_secret_value(),
        expires_in=int(identity.signer.life.total_seconds()),
    )
