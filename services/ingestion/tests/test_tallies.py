from datetime import timedelta
from uuid import UUID, uuid4

from prometheus_client import REGISTRY

from libs.chassis.counting import count
from services.ingestion.tallies import TALLIES
from services.ingestion.tests.support import Running


def polls(what: str, platform: str = "x") -> float | None:
    return REGISTRY.get_sample_value(f"rookery_ingestion_polls_{what}", {"platform": platform})


async def tally(running: Running) -> None:
    async with running.worker.begin() as connection:
        await count(connection, TALLIES, running.clock)


async def write(running: Running, statement: str, **values: object) -> None:
    async with running.worker.begin() as connection:
        await connection.exec_driver_sql(statement, {"now": running.clock.now(), **values})


async def schedule(running: Running, account: UUID, ago: timedelta) -> None:
    await write(
        running,
        "INSERT INTO poll_schedule (account_id, kind, platform, next_at)"
        " VALUES (%(account)s, 'posts', 'x', %(now)s::timestamptz - %(ago)s)",
        account=account,
        ago=ago,
    )


async def test_polls_that_wait_are_counted_with_the_longest_wait(running: Running) -> None:
    for user, minutes in (("1", 3), ("2", 20)):
        account = await running.connect("x", user)
        await schedule(running, account.id, timedelta(minutes=minutes))
    await schedule(running, uuid4(), timedelta(hours=5))  # of no account: nobody waits for it
    await tally(running)
    assert (polls("due"), polls("overdue_seconds")) == (2, 1200)
    assert polls("stopped") is None


async def test_polls_under_way_stopped_or_paused_do_not_wait(running: Running) -> None:
    account = await running.connect("x", "1")
    await schedule(running, account.id, timedelta(minutes=3))
    until = running.clock.now() + timedelta(minutes=1)
    await write(running, "UPDATE poll_schedule SET lease_until = %(until)s", until=until)
    await tally(running)
    assert polls("due") is None
    await write(running, "UPDATE poll_schedule SET lease_until = NULL, stopped_at = %(now)s")
    await tally(running)
    assert (polls("due"), polls("stopped")) == (None, 1)
    await write(running, "UPDATE poll_schedule SET stopped_at = NULL")
    await write(running, "INSERT INTO poll_pauses VALUES ('x', %(until)s)", until=until)
    await tally(running)
    assert (polls("due"), polls("paused_seconds")) == (None, 60)
    running.clock.advance(timedelta(minutes=2))
    await tally(running)
    assert (polls("due"), polls("paused_seconds")) == (1, 0)
