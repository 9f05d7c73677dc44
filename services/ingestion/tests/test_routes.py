"""Whose account it is, from accounts' events in whatever order the streams bring them."""

from __future__ import annotations

from itertools import permutations
from uuid import uuid4

import pytest

from libs.contracts.accounts import AccountDisconnected, AccountReconnected
from libs.contracts.envelope import Cursor
from libs.contracts.event import Event
from services.ingestion.projections.routes import route_of
from services.ingestion.tests.support import Account, Running, connected, x_follow

FIRST = Account(uuid4(), uuid4(), "x", "1")
SECOND = Account(uuid4(), uuid4(), "x", "1")


def disconnected(account: Account) -> Event:
    return AccountDisconnected(
        account_id=account.id,
        workspace_id=account.workspace_id,
        platform=account.platform,
        reason="by-member",
    )


async def test_a_platform_account_that_moved_belongs_to_the_latest_in_any_order(
    running: Running,
) -> None:
    history = [
        (FIRST, connected(FIRST), Cursor(5, 1)),
        (FIRST, disconnected(FIRST), Cursor(5, 2)),
        (SECOND, connected(SECOND), Cursor(7, 3)),
    ]
    for order in permutations(range(3)):
        if order.index(0) > order.index(1):  # within a stream, order holds
            continue
        async with running.worker.begin() as connection:
            await connection.exec_driver_sql("DELETE FROM account_routes")
        for place in order:
            account, event, cursor = history[place]
            await running.apply(event, workspace_id=account.workspace_id, cursor=cursor)
        [row] = await running.rows("SELECT account_id, workspace_id, active FROM account_routes")
        assert row == {
            "account_id": SECOND.id,
            "workspace_id": SECOND.workspace_id,
            "active": True,
        }


async def test_a_repeat_of_old_events_changes_nothing(running: Running) -> None:
    await running.apply(connected(FIRST), workspace_id=None, cursor=Cursor(5, 1))
    await running.apply(disconnected(FIRST), workspace_id=None, cursor=Cursor(5, 2))
    await running.apply(connected(FIRST), workspace_id=None, cursor=Cursor(5, 1))
    [row] = await running.rows("SELECT active FROM account_routes")
    assert row == {"active": False}


async def test_a_reconnection_opens_the_route_again(running: Running) -> None:
    await running.connect("x", "1", account=FIRST)
    await running.disconnect(FIRST)
    async with running.worker.connect() as connection:
        assert await route_of(connection, FIRST.id) is None
    again = AccountReconnected.model_validate(connected(FIRST).model_dump())
    await running.apply(again, workspace_id=FIRST.workspace_id)
    async with running.worker.connect() as connection:
        assert await route_of(connection, FIRST.id) == ("x", "1")


@pytest.mark.parametrize("name", ["1", "other"])
async def test_an_account_is_found_under_each_of_its_ids(running: Running, name: str) -> None:
    event = connected(FIRST).model_copy(update={"other_ids": ("other",)})
    await running.apply(event, workspace_id=FIRST.workspace_id)
    await running.send("x", x_follow(name, 1))
    [row] = await running.events()
    assert row["social_account_id"] == FIRST.id
    async with running.worker.connect() as connection:
        assert await route_of(connection, FIRST.id) == ("x", "1")
