from datetime import timedelta

from prometheus_client import REGISTRY

from libs.chassis.counting import count
from services.accounts.tallies import TALLIES
from services.accounts.tests.conftest import App
from services.accounts.tests.test_refreshing import until_due


def overdue(platform: str) -> float | None:
    return REGISTRY.get_sample_value("rookery_accounts_tokens_overdue", {"platform": platform})


async def tally(app: App) -> None:
    async with app.worker.begin() as connection:
        await count(connection, TALLIES, app.clock)


async def test_a_token_that_waits_ten_minutes_for_its_refresh_is_overdue(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "tiktok")
    await until_due(app, account_id)
    app.clock.advance(timedelta(minutes=9))
    await tally(app)
    assert overdue("tiktok") is None
    app.clock.advance(timedelta(minutes=1))
    await tally(app)
    assert overdue("tiktok") == 1
    refreshed = {"platform": "tiktok", "outcome": "refreshed"}
    name = "rookery_accounts_token_refreshes_total"
    before = REGISTRY.get_sample_value(name, refreshed) or 0
    await app.refresher.refresh_due()
    await tally(app)
    assert overdue("tiktok") is None
    assert REGISTRY.get_sample_value(name, refreshed) == before + 1


async def test_dead_letters_are_counted_by_reader(app: App) -> None:
    for number, status in enumerate(("dead", "dead", "redriven")):
        await app.sql(
            'INSERT INTO dead_letters (reader, topic, partition, "offset", headers, error, status)'
            " VALUES ('accounts.members', 't', 0, :number, '[]', 'x', :status)",
            number=number,
            status=status,
        )
    await tally(app)
    labels = {"reader": "accounts.members"}
    assert REGISTRY.get_sample_value("rookery_reader_dead_letters_open", labels) == 2
