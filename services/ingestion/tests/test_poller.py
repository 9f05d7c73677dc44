"""Polls of the simulated platforms over HTTP, paced, resumed and kept apart."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from libs.contracts.accounts import PlatformName
from libs.platforms.base import slot
from libs.testing.serving import until
from services.ingestion import poll_schedule
from services.ingestion.poll_schedule import LEASE, LeaseLost
from services.ingestion.tests.polling import Polling
from services.ingestion.tests.support import Running

NAMES: tuple[PlatformName, ...] = ("instagram", "tiktok", "linkedin", "x")


async def due(running: Running, limit: int = 10) -> list[poll_schedule.Claim]:
    async with running.worker.begin() as connection:
        return list(await poll_schedule.claim(connection, limit, running.clock.now()))


@pytest.mark.parametrize("name", NAMES)
async def test_everything_a_platform_can_tell_is_in_the_log_after_one_round(
    polling: Polling, name: PlatformName
) -> None:
    account = await polling.connect(name)
    await polling.poll_all()
    rows = await polling.running.events()
    platform = polling.simulated.platforms[name]
    kinds = {f"poll.{kind}" for kind in platform.facts.poll_every}
    assert {row["type"] for row in rows} == kinds
    assert {row["social_account_id"] for row in rows} == {account.id}
    assert {row["workspace_id"] for row in rows} == {account.workspace_id}
    for row in await polling.schedule():
        assert row["failures"] == 0
        assert row["cursor"] is row["lease_owner"] is row["last_error"] is None
        every = platform.facts.poll_every[row["kind"]]  # type: ignore[index]
        begins = datetime.fromisoformat(slot(polling.running.clock.now(), every)) + every
        assert begins <= row["next_at"] < begins + every  # type: ignore[operator]
    assert set(polling.lender.asked) == {"ingestion"}


async def test_a_round_is_polled_once_and_the_next_in_its_own_slot(polling: Polling) -> None:
    await polling.connect("x")
    await polling.poll_all()
    before = len(await polling.running.events())
    await polling.poll_all()
    assert len(await polling.running.events()) == before
    polling.running.clock.advance(timedelta(hours=1, minutes=10))
    await polling.poll_all()
    rows = await polling.running.events()
    assert [row["type"] for row in rows[before:]] == ["poll.account"]


async def test_only_one_of_an_account_s_polls_runs_at_a_time_in_all_processes(
    polling: Polling,
) -> None:
    for name in NAMES:
        await polling.connect(name)
    first, second = polling.poller(), polling.poller()
    for name in NAMES:
        await polling.simulated.control(
            "faults", {"platform": name, "kind": "slow", "times": 1, "delay_s": 1}
        )
    started = await asyncio.gather(first.start_due(), second.start_due())
    assert sum(started) == 4  # one of each account, though ten polls are due
    claims = [*first._running.values(), *second._running.values()]
    assert len({claim.account_id for claim in claims}) == 4
    assert await second.start_due() == 0
    await asyncio.gather(first.finish(), second.finish())


async def test_many_claiming_at_once_never_get_the_same_account(polling: Polling) -> None:
    running = polling.running
    for number in range(6):
        await running.connect("instagram", str(number))
    async with running.worker.begin() as connection:
        await poll_schedule.ensure_scheduled(
            connection, polling.simulated.platforms, running.clock.now()
        )
    claimed = await asyncio.gather(*(due(running, 2) for _ in range(10)))
    accounts = [claim.account_id for claims in claimed for claim in claims]
    assert len(accounts) == len(set(accounts)) == 6


async def test_a_poll_goes_on_where_a_killed_process_left_it(polling: Polling) -> None:
    running = polling.running
    person = {"platform": "instagram", "handle": "resumed", "posts_per_week": 3}
    await polling.simulated.control("people", person)
    account = await polling.connect("instagram", "resumed")
    poller = polling.poller(at_once=1)
    async with running.worker.begin() as connection:
        await poll_schedule.ensure_scheduled(
            connection, polling.simulated.platforms, running.clock.now()
        )
        await connection.exec_driver_sql("DELETE FROM poll_schedule WHERE kind <> 'posts'")
    [claim] = await due(running)
    token = polling.lender.tokens[account.id]
    page = await polling.simulated.platforms["instagram"].poll(
        running.http,
        kind="posts",
        access_token=token,
        platform_user_id=account.user,
        cursor=None,
        now=running.clock.now(),
    )
    assert page.cursor is not None
    assert not await poller._store(claim, page)
    # Here the process dies: its lease has to run out.
    some = len(await running.events())
    assert some == len(page.observations)
    assert await due(running) == []
    running.clock.advance(LEASE + timedelta(seconds=1))
    [again] = await due(running)
    assert again.cursor == orjson.loads(orjson.dumps(page.cursor))
    await poller._poll(again)
    rows = await running.events()
    assert len(rows) > some
    posts = [row["payload"]["responses"]["media"]["id"] for row in rows]
    assert len(posts) == len(set(posts))
    # The one that was given up for dead may write nothing more.
    with pytest.raises(LeaseLost):
        await poller._store(claim, page)
    assert len(await running.events()) == len(rows)


async def test_a_limit_is_obeyed_by_the_account_and_concerns_no_other(polling: Polling) -> None:
    await polling.simulated.control("people", {"platform": "x", "handle": "limited"})
    limited = await polling.connect("x", "limited")
    await polling.simulated.control("limits", {"rule": "x.users.me", "limit": 0})
    await polling.poll_all()
    rows = {(row["account_id"], row["kind"]): row for row in await polling.schedule()}
    now = polling.running.clock.now()
    until_reset = rows[limited.id, "account"]["next_at"]
    assert timedelta(0) < until_reset - now <= timedelta(minutes=18)  # type: ignore[operator]
    assert rows[limited.id, "posts"]["next_at"] >= until_reset  # type: ignore[operator]
    assert rows[limited.id, "account"]["last_error"] == "rate-limited"
    await polling.simulated.control("limits", {"rule": "x.users.me", "limit": None})
    other = await polling.connect("x")
    running = polling.running
    await polling.poll_all()
    assert other.id in {row["social_account_id"] for row in await running.events()}


async def test_a_limit_of_the_whole_application_pauses_its_platform(polling: Polling) -> None:
    await polling.connect("tiktok")
    await polling.simulated.control("limits", {"rule": "tiktok.user.info", "limit": 0})
    await polling.poll_all()
    await polling.simulated.control("limits", {"rule": "tiktok.user.info", "limit": None})
    await polling.simulated.control("people", {"platform": "tiktok", "handle": "bystander"})
    bystander = await polling.connect("tiktok", "bystander")
    on_x = await polling.connect("x")
    await polling.poll_all()
    seen = {row["social_account_id"] for row in await polling.running.events()}
    assert on_x.id in seen
    assert bystander.id not in seen
    polling.running.clock.advance(timedelta(minutes=2))
    await polling.poll_all()
    seen = {row["social_account_id"] for row in await polling.running.events()}
    assert bystander.id in seen


@pytest.mark.parametrize("fault", ["500", "garbage", "reset"])
async def test_a_broken_platform_is_tried_again_later_and_later(
    polling: Polling, fault: str
) -> None:
    await polling.connect("x")
    await polling.simulated.control("faults", {"platform": "x", "kind": fault, "times": 50})
    waits = []
    for _ in range(3):
        await polling.poll_all()
        row = (await polling.schedule())[0]
        waits.append(row["next_at"] - polling.running.clock.now())  # type: ignore[operator]
        polling.running.clock.advance(waits[-1])
    assert timedelta(seconds=30) <= waits[0] < waits[1] < waits[2] < timedelta(hours=1)
    assert row["failures"] == 3
    await polling.simulated.reset()
    await polling.poll_all()
    assert {row["failures"] for row in await polling.schedule()} == {0}


@pytest.mark.parametrize("name", NAMES)
async def test_a_dead_grant_stops_the_polls_until_the_account_is_reconnected(
    polling: Polling, name: PlatformName
) -> None:
    handle = f"revoked-{name}"
    await polling.simulated.control("people", {"platform": name, "handle": handle})
    account = await polling.connect(name, handle)
    await polling.simulated.control("revoke", {"platform": name, "handle": handle, "notify": False})
    await polling.poll_all()
    assert await polling.running.events() == []
    assert {(told, said["token_version"]) for told, said in polling.lender.refusals} == {
        (account.id, 7)
    }
    polling.running.clock.advance(timedelta(days=3))
    asked = len(polling.lender.asked)
    await polling.poll_all()
    assert len(polling.lender.asked) == asked

    grant = await polling.simulated.grant(name, handle)
    polling.lender.tokens[account.id] = grant.access_token
    await polling.running.connect(name, account.user, account=account)
    await polling.poll_all()
    assert await polling.running.events()


async def test_an_account_that_accounts_lends_nothing_for_is_left_alone(polling: Polling) -> None:
    reviewed, unknown = await polling.connect("x"), await polling.running.connect("tiktok", "?")
    polling.lender.needs_review.add(reviewed.id)
    await polling.poll_all()
    rows = {row["account_id"]: row for row in await polling.schedule()}
    assert rows[reviewed.id]["last_error"] == "account-needs-review"
    assert rows[unknown.id]["last_error"] == "not-found"
    assert all(row["stopped_at"] for row in rows.values())


async def test_an_accounts_service_that_is_down_is_asked_again(polling: Polling) -> None:
    await polling.connect("x")
    poller = polling.running.poller("http://127.0.0.1:1", at_once=4)
    await poller.start_due()
    await poller.finish()
    [row] = [row for row in await polling.schedule() if row["failures"]]
    assert (row["last_error"], row["stopped_at"]) == ("no-lease", None)


async def test_a_disconnected_account_is_no_longer_polled(polling: Polling) -> None:
    account = await polling.connect("x")
    await polling.running.disconnect(account)
    await polling.poll_all()
    assert polling.lender.asked == []


async def test_a_poller_that_is_stopped_frees_what_it_had(polling: Polling) -> None:
    await polling.connect("x")
    await polling.simulated.control(
        "faults", {"platform": "x", "kind": "timeout", "times": 1, "delay_s": 5}
    )
    poller, stop = polling.poller(), asyncio.Event()
    work = asyncio.create_task(poller.run(stop))
    await until(lambda: poller._running)
    await until(lambda: polling.lender.asked)
    stop.set()
    await work
    rows = await polling.schedule()
    assert rows
    assert all(row["lease_owner"] is None for row in rows)
    await polling.simulated.reset()
    await polling.poll_all()
    assert await polling.running.events()


async def test_what_jsonb_cannot_hold_is_set_aside_and_the_poll_goes_on(
    polling: Polling, monkeypatch: pytest.MonkeyPatch
) -> None:
    await polling.connect("x")
    poller = polling.poller()
    platform = poller._platforms["x"]
    poll = platform.poll

    async def poisoned(*arguments: Any, **more: Any) -> Any:
        page = await poll(*arguments, **more)
        page.observations[0].payload["responses"]["caption"] = "a\x00b"
        return page

    monkeypatch.setattr(platform, "poll", poisoned)
    while await poller.start_due():
        await poller.finish()
    rows = await polling.running.quarantine()
    assert {row["reason"] for row in rows} == {"nul-character"}
    assert len(await polling.running.events()) > 10
