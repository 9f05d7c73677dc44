"""Imports of the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from libs.chassis.tokens import ServiceTokens
from libs.contracts.accounts import PlatformName
from libs.testing.identity import SERVICE_SECRET
from services.ingestion.tests.polling import Polling
from services.ingestion.tests.support import Account, Running
from services.ingestion.tests.test_poller import NAMES


async def import_past(
    running: Running,
    account: Account,
    observations: list[dict[str, Any]],
    callee: str = "ingestion",
) -> httpx.Response:
    bearer = ServiceTokens(SecretStr(SERVICE_SECRET)).issue(caller="local", callee=callee)
    return await running.http.post(
        f"{running.url}/internal/backfill",
        json={"account_id": str(account.id), "observations": observations},
        headers={"authorization": f"Bearer {bearer}"},
    )


async def history(polling: Polling, name: PlatformName, days: int) -> list[dict[str, Any]]:
    handle = (await polling.simulated.person(name))["handle"]
    past: list[dict[str, Any]] = await polling.simulated.control(
        f"history?platform={name}&handle={handle}&days={days}"
    )
    return past


@pytest.mark.parametrize("name", NAMES)
async def test_the_simulator_s_history_is_appended_once_under_its_own_times(
    polling: Polling, name: PlatformName
) -> None:
    account = await polling.connect(name)
    past = (await history(polling, name, 100))[:40]
    answer = await import_past(polling.running, account, past)
    assert answer.json() == {"written": 40, "duplicates": 0}
    rows = await polling.running.events()
    assert [row["received_at"] for row in rows] == [
        datetime.fromisoformat(one["observed_at"]) for one in past
    ]
    assert [row["type"] for row in rows] == [f"poll.{one['kind']}" for one in past]
    again = await import_past(polling.running, account, past)
    assert again.json() == {"written": 0, "duplicates": 40}
    [stray] = await polling.running.rows("SELECT events_strays() AS rows")
    assert stray["rows"] == 0  # the months were made


async def test_only_a_service_may_import(polling: Polling) -> None:
    account = await polling.connect("x")
    past = await history(polling, "x", 1)
    assert (await import_past(polling.running, account, past, "accounts")).status_code == 401
    assert await polling.running.events() == []


async def test_an_account_that_is_not_connected_is_not_found(polling: Polling) -> None:
    past = await history(polling, "x", 1)
    stranger = Account(uuid4(), uuid4(), "x", "1")
    assert (await import_past(polling.running, stranger, past)).status_code == 404


async def test_what_no_poll_would_have_brought_is_refused(polling: Polling) -> None:
    account = await polling.connect("x")
    [good, *_] = await history(polling, "x", 1)
    now = datetime.now(UTC)
    for wrong in (
        {"kind": "audience"},
        {"kind": "posts", "responses": {"tweet": 7}},
        {"observed_at": (now + timedelta(days=1)).isoformat()},
        {"observed_at": "1999-01-01T00:00:00Z"},
        {"observed_at": "10000-01-01T00:00:00Z"},
        {"observed_at": "2026-01-01T00:00:00"},
    ):
        answer = await import_past(polling.running, account, [good, {**good, **wrong}])
        assert answer.status_code == 422, wrong
    assert await polling.running.events() == []
