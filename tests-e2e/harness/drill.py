"""A fault in the middle of a load, and what must hold afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from harness.installation import Installation, Instance
from harness.ledger import Books
from harness.load import Load
from harness.polls import poll
from harness.webhooks import Account
from libs.contracts.accounts import PlatformName

DRAINED_SECONDS = 60.0
PLATFORMS: tuple[PlatformName, ...] = ("instagram", "tiktok", "linkedin", "x")
ACCOUNTS_PER_PLATFORM = 5


@dataclass
class Drill:
    """An installation, a load on it, and its books."""

    installation: Installation
    books: Books
    load: Load

    @classmethod
    async def of(cls, installation: Installation, books: Books) -> Drill:
        """Twenty new accounts and a load on them that does not run yet."""
        accounts = [Account(name) for name in PLATFORMS for _ in range(ACCOUNTS_PER_PLATFORM)]
        await installation.connect(accounts)
        await books.known(accounts)
        doors = [instance.url for instance in installation.fleet["ingestion"]]
        return cls(installation, books, Load(accounts, doors))

    def service(self, name: str) -> Instance:
        """The first process of the service."""
        return self.installation.instances[name]

    async def all_applied(self) -> float:
        """Wait until what is accepted so far is applied everywhere; gives the seconds it took."""
        began = time.monotonic()
        logged = await self.books.logged(self.load.accounts)
        await self.books.applied(self.load.accounts, logged, within=DRAINED_SECONDS)
        return time.monotonic() - began

    @asynccontextmanager
    async def second(self, name: str, role: str = "run") -> AsyncIterator[Instance]:
        """One more process of the service while inside."""
        instance = self.installation.another(name, role=role)
        instance.start()
        try:
            await asyncio.to_thread(instance.wait_ready)
            yield instance
        finally:
            await asyncio.to_thread(instance.process.stop)


Fault = Callable[[Drill], Awaitable[None]]


async def nothing(drill: Drill) -> None:
    """Weather without a storm, to know that the books can balance."""


async def run(drill: Drill, fault: Fault) -> float:
    """The fault in the middle of the load and of an import, then the balance of the books.

    Gives the seconds from its end until everything accepted by then was applied everywhere.
    """
    load = drill.load
    first_of_each = load.accounts[::ACCOUNTS_PER_PLATFORM]
    async with load.running():
        await load.more(100)
        polling = asyncio.create_task(asyncio.to_thread(poll, drill.installation, first_of_each))
        await fault(drill)
        over = time.monotonic()
        recovery = await drill.all_applied()
        await load.more(100)
        polled = await polling
    await load.insist()
    await drill.books.balance(load, polled, within=DRAINED_SECONDS - (time.monotonic() - over))
    return recovery


async def rebuilt_alike(drill: Drill, names: Iterable[str] = ("analytics", "audit")) -> None:
    """Live projections equal their rebuild from nothing: each into a database beside the first."""
    for name in names:
        processes = drill.installation.fleet[name]
        await _stopped(processes)
        database = drill.installation.new_database(name, "_rebuilt")
        rebuilding = drill.installation.another(name, database=database)
        rebuilding.start()
        try:
            await asyncio.to_thread(rebuilding.wait_ready)
            await drill.books.same(name, f"{name}_rebuilt", within=DRAINED_SECONDS)
        finally:
            await asyncio.to_thread(rebuilding.process.stop)
            for process in processes:
                process.start()
            for process in processes:
                await asyncio.to_thread(process.wait_ready)


async def _stopped(processes: Sequence[Instance]) -> None:
    for one in processes:
        one.process.ask_to_stop()
    for one in processes:
        await asyncio.to_thread(one.process.stop)
