from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from libs.platforms import registry
from libs.platforms.base import Credentials, Grant
from services.accounts.schedule import expired, lendable, refresh_at, retry_at
from services.accounts.tests.conftest import PLATFORMS

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
FACTS = {
    name: platform.facts
    for name, platform in registry.build(
        {name: Credentials("", SecretStr(""), ()) for name in PLATFORMS}
    ).items()
}


def grant(life: timedelta | None, *, refresh: bool = True) -> Grant:
    return Grant(
        access_token=SecretStr("a"),
        refresh_token=SecretStr("r") if refresh else None,
        expires_at=NOW + life if life is not None else None,
        refresh_expires_at=None,
        scopes=(),
    )


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_a_token_is_refreshed_well_ahead_of_its_end(jitter: float) -> None:
    at = refresh_at(grant(timedelta(hours=2)), FACTS["x"], NOW, jitter)
    assert at == NOW + timedelta(minutes=90 + 12 * jitter)


def test_instagram_needs_no_refresh_token() -> None:
    at = refresh_at(grant(timedelta(days=60), refresh=False), FACTS["instagram"], NOW, 0)
    assert at == NOW + timedelta(days=45)


def test_what_cannot_be_refreshed_comes_up_when_it_ends() -> None:
    life = timedelta(days=60)
    assert refresh_at(grant(life, refresh=False), FACTS["linkedin"], NOW, 0) == NOW + life
    assert refresh_at(grant(None), FACTS["linkedin"], NOW, 0) is None


def test_retries_come_ever_later_but_not_later_than_half_an_hour() -> None:
    waits = [(retry_at(n, NOW, 0) - NOW).total_seconds() for n in (0, 1, 2, 6, 1000)]
    assert waits == [30, 60, 120, 1800, 1800]
    assert retry_at(0, NOW, 1.0) == NOW + timedelta(seconds=36)


def test_only_what_lives_five_minutes_is_lent() -> None:
    assert lendable(grant(timedelta(minutes=6)), NOW)
    assert not lendable(grant(timedelta(minutes=5)), NOW)
    assert lendable(grant(None), NOW)
    assert expired(grant(timedelta(0)), NOW)
    assert not expired(grant(timedelta(seconds=1)), NOW)
    assert not expired(grant(None), NOW)
