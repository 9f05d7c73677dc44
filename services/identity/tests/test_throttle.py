import asyncio
from datetime import timedelta

from .conftest import App


async def fail(app: App, times: int, *, email: str = "ana@example.org", **where: str) -> list[int]:
    return [(await app.login(email, "wrong", **where)).status_code for _ in range(times)]


async def test_from_the_fifth_failure_on_an_account_has_to_wait(app: App) -> None:
    await app.register("ana@example.org")
    assert await fail(app, 6) == [401] * 5 + [429]
    answer = await app.login("ana@example.org")  # the right password does not help
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    app.clock.advance(timedelta(seconds=2))
    assert (await app.login("ana@example.org")).status_code == 200


async def test_the_wait_grows_with_every_failure(app: App) -> None:
    waits = []
    await fail(app, 5)
    for _ in range(5):
        answer = await app.login("ana@example.org", "wrong")
        waits.append(int(answer.headers["retry-after"]))
        app.clock.advance(timedelta(seconds=waits[-1]))
        assert await fail(app, 1) == [401]
    assert waits == [2, 4, 8, 16, 32]


async def test_parallel_guesses_cannot_slip_past_the_count(app: App) -> None:
    await app.register("ana@example.org")
    answers = await asyncio.gather(*(app.login("ana@example.org", "wrong") for _ in range(30)))
    statuses = [a.status_code for a in answers]
    assert statuses.count(401) == 5
    assert statuses.count(429) == 25


async def test_an_address_that_tries_many_accounts_has_to_wait(app: App) -> None:
    statuses = []
    for number in range(7):
        statuses += await fail(app, 1, email=f"u{number}@example.org", address="10.1.1.1")
    assert statuses == [401] * 5 + [429] * 2
    assert await fail(app, 1, email="u9@example.org", address="10.1.1.2") == [401]


async def test_a_whole_ipv6_network_counts_as_one_address(app: App) -> None:
    statuses = []
    for number in range(6):
        statuses += await fail(
            app, 1, email=f"u{number}@example.org", address=f"2001:db8:1:2::{number}"
        )
    assert statuses[-1] == 429


async def test_an_own_account_does_not_clear_an_address(app: App) -> None:
    await app.register("mallory@example.org")
    statuses = []
    for number in range(5):
        statuses += await fail(app, 1, email=f"u{number}@example.org", address="10.1.1.1")
        if number < 4:
            assert (await app.login("mallory@example.org", address="10.1.1.1")).status_code == 200
    assert await fail(app, 1, email="u9@example.org", address="10.1.1.1") == [429]


async def test_success_and_a_quiet_hour_start_the_count_anew(app: App) -> None:
    await app.register("ana@example.org")
    await fail(app, 4)
    assert (await app.login("ana@example.org")).status_code == 200
    assert await fail(app, 6) == [401] * 5 + [429]
    app.clock.advance(timedelta(hours=1))
    assert await fail(app, 6) == [401] * 5 + [429]


async def test_unknown_addresses_are_throttled_the_same(app: App) -> None:
    assert await fail(app, 6, email="nobody@example.org") == [401] * 5 + [429]
