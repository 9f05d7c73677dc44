"""A person: stream `user-<id>`. Passwords and sessions are state beside it, never events."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from libs.chassis.refusals import Missing, Refused
from libs.contracts.event import Event
from libs.contracts.identity import UserLoggedIn, UserRegistered


class EmailTaken(Refused):
    slug = "email-taken"
    title = "Someone is registered with this e-mail address"


class NoSuchUser(Missing):
    slug = "user-not-found"
    title = "No one is registered with this e-mail address"


@dataclass(frozen=True, slots=True)
class User:
    id: UUID
    email: str


@dataclass(frozen=True, slots=True)
class Register:
    user_id: UUID
    email: str


@dataclass(frozen=True, slots=True)
class LogIn:
    """The password was right."""


Command = Register | LogIn


def stream(user_id: UUID) -> str:
    return f"user-{user_id}"


def normal_email(email: str) -> str:
    """The one form in which an address is stored, compared and unique."""
    return unicodedata.normalize("NFC", email.strip()).lower()


def evolve(state: User | None, event: Event) -> User | None:
    match event:
        case UserRegistered():
            return User(event.user_id, event.email)
        case UserLoggedIn():
            return state
        case _:
            raise TypeError(f"{event.type} is no event of a user")


def decide(state: User | None, command: Command) -> Sequence[Event]:
    match command:
        case Register():
            if state is not None:
                raise EmailTaken
            return [UserRegistered(user_id=command.user_id, email=normal_email(command.email))]
        case LogIn():
            if state is None:
                raise NoSuchUser
            return [UserLoggedIn(user_id=state.id)]
