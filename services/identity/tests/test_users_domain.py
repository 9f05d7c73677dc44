from uuid import uuid4

import pytest

from libs.contracts.identity import UserLoggedIn, UserRegistered
from services.identity.domain import users

ID = uuid4()
ANA = users.User(ID, "ana@example.org")


def test_given_nobody_when_registering_then_registered_with_the_normal_address() -> None:
    command = users.Register(ID, "  Ána@Example.ORG ")
    assert users.decide(None, command) == [UserRegistered(user_id=ID, email="ána@example.org")]


def test_given_a_person_when_registering_again_then_refused() -> None:
    with pytest.raises(users.EmailTaken):
        users.decide(ANA, users.Register(ID, "ana@example.org"))


def test_given_a_person_when_logging_in_then_logged_in() -> None:
    assert users.decide(ANA, users.LogIn()) == [UserLoggedIn(user_id=ID)]


def test_given_nobody_when_logging_in_then_refused() -> None:
    with pytest.raises(users.NoSuchUser):
        users.decide(None, users.LogIn())


def test_two_spellings_of_one_address_are_one() -> None:
    assert users.normal_email("a\u0301@x.org") == users.normal_email("Á@X.org")
