"""The table `users`. The password hash in it is state: events know nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import errors as pg
from sqlalchemy import exc as sa
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.identity import UserLoggedIn, UserRegistered
from libs.eventlog.log import Decider, Recorded
from services.identity.domain import users
from services.identity.domain.users import EmailTaken, User, normal_email
from services.identity.passwords import NO_PASSWORD

_INSERT = text(
    "INSERT INTO users (id, email, password_hash, created_at)"
    f" VALUES (:id, :email, '{NO_PASSWORD}', :at)"
)
_LOGGED_IN = text("UPDATE users SET last_login = :at WHERE id = :id")
_SET_PASSWORD = text("UPDATE users SET password_hash = :hash WHERE id = :id")
_LOOK_FOR = text("SELECT set_config('rookery.email', :email, true)")
_BY_EMAIL = text("SELECT id, password_hash FROM users WHERE email = :email")
_BY_ID = text("SELECT id, email, mfa_enabled, created_at, last_login FROM users WHERE id = :id")


async def project(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    """Raises EmailTaken; the transaction is then aborted."""
    for item in recorded:
        match item.event:
            case UserRegistered() as event:
                row = {"id": event.user_id, "email": event.email, "at": item.occurred_at}
                try:
                    await connection.execute(_INSERT, row)
                except sa.IntegrityError as error:
                    if isinstance(error.orig, pg.UniqueViolation):
                        raise EmailTaken from None
                    raise
            case UserLoggedIn() as event:
                await connection.execute(_LOGGED_IN, {"id": event.user_id, "at": item.occurred_at})


USERS: Decider[User | None, users.Command] = Decider(
    initial=lambda: None, evolve=users.evolve, decide=users.decide, project=project
)


@dataclass(frozen=True, slots=True)
class Credentials:
    user_id: UUID
    password_hash: str

    def __repr__(self) -> str:
        return f"Credentials({self.user_id})"


@dataclass(frozen=True, slots=True)
class Person:
    """A row as the person may see it."""

    id: UUID
    email: str
    mfa_enabled: bool
    created_at: datetime
    last_login: datetime | None


async def set_password(connection: AsyncConnection, user_id: UUID, password_hash: str) -> None:
    """Put the hash in place; the transaction's person must be that user."""
    await connection.execute(_SET_PASSWORD, {"id": user_id, "hash": password_hash})


async def by_email(connection: AsyncConnection, email: str) -> Credentials | None:
    """Whoever is registered with the address.

    Row-level security shows the row to a transaction that names the address.
    """
    normal = normal_email(email)
    await connection.execute(_LOOK_FOR, {"email": normal})
    row = (await connection.execute(_BY_EMAIL, {"email": normal})).one_or_none()
    return None if row is None else Credentials(row.id, row.password_hash)


async def by_id(connection: AsyncConnection, user_id: UUID) -> Person | None:
    """The person; the transaction's person must be that user or share its workspace."""
    row = (await connection.execute(_BY_ID, {"id": user_id})).mappings().one_or_none()
    return None if row is None else Person(**row)
