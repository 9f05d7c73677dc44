"""Real servers and services are killed, stopped and emptied while webhooks arrive.

Each time: everything answered 2xx is in the log once (I1), everything in the log is applied once
to every projection (I2), in the order of its stream (I3), at most a minute after the fault (I8).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from harness.installation import Installation
from harness.ledger import Books
from harness.load import Load
from harness.webhooks import Account
from libs.contracts.accounts import PlatformName

DRAINED_SECONDS = 60.0
PLATFORMS: tuple[PlatformName, ...] = ("instagram", "tiktok", "linkedin", "x")
Fault = Callable[[Installation, Load], Awaitable[None]]


@pytest.fixture(scope="module")
async def books(installation: Installation) -> Books:
    books = Books(installation)
    await books.open()
    return books


@pytest.fixture
async def load(installation: Installation, books: Books) -> Load:
    """Twenty new accounts and a load on them that does not run yet."""
    accounts = [Account(platform) for platform in PLATFORMS for _ in range(5)]
    await installation.connect(accounts)
    await books.known(accounts)
    return Load(accounts, [installation.instances["ingestion"].url])


async def postgres_is_killed(installation: Installation, load: Load) -> None:
    await asyncio.to_thread(installation.postgres.kill)
    await asyncio.to_thread(installation.postgres.start)


async def nothing(installation: Installation, load: Load) -> None:
    pass


@pytest.mark.parametrize("fault", [nothing, postgres_is_killed])
async def test_nothing_is_lost_doubled_or_reordered(
    fault: Fault, installation: Installation, books: Books, load: Load
) -> None:
    async with load.running():
        await load.more(100)
        await fault(installation, load)
        over = time.monotonic()
        await load.more(100)
    await load.insist()
    await books.balance(load, within=DRAINED_SECONDS - (time.monotonic() - over))
    assert load.statuses <= {200, 503, None}
