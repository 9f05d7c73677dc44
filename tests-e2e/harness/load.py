"""A steady load of webhooks that remembers what became of each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import httpx

from harness.webhooks import Account, Webhook, webhook
from libs.testing.serving import until

Outcome = Literal["ok", "failed", "indeterminate"]

PATIENCE_SECONDS = 10.0
# One request in so many is sent twice at once, as platforms do.
_TWICE = 9


@dataclass
class Attempt:
    """One request sent. `status` None: there was no answer, so nobody knows."""

    webhook: Webhook
    began: float
    seconds: float
    status: int | None
    outcome: Outcome


@dataclass
class Load:
    """Posts webhooks of `accounts` to `targets`, `rate` a second; those of one account in turn.

    An account's next webhook leaves only when the one before it is answered, so the order of
    what was accepted is known. One that gets no answer goes to the next target, as through a load
    balancer; `lost` are those for which that did not help.
    """

    accounts: Sequence[Account]
    targets: list[str]
    rate: float = 100.0
    attempts: list[Attempt] = field(default_factory=list)
    # Each account's marks in the order of their acceptance, those of repeats at the end left out.
    accepted: dict[Account, list[str]] = field(default_factory=dict)
    lost: list[Attempt] = field(default_factory=list)
    _owed: list[Webhook] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Post while inside; at the end what is under way is awaited."""
        stop = asyncio.Event()
        limits = httpx.Limits(max_connections=200)
        async with (
            httpx.AsyncClient(timeout=PATIENCE_SECONDS, limits=limits) as http,
            asyncio.TaskGroup() as group,
        ):
            for number, account in enumerate(self.accounts):
                group.create_task(self._post_all(http, account, number, stop))
            try:
                yield
            finally:
                stop.set()

    async def more(self, requests: int, timeout: float = 60) -> None:
        """Wait until so many more were accepted."""
        goal = self.counted["ok"] + requests
        await until(
            lambda: self.counted["ok"] >= goal, timeout=timeout, what=f"{requests} more accepted"
        )

    async def refused(self, requests: int, timeout: float = 60) -> None:
        """Wait until so many more were not accepted."""
        goal = len(self.attempts) - self.counted["ok"] + requests
        await until(
            lambda: len(self.attempts) - self.counted["ok"] >= goal,
            timeout=timeout,
            what=f"{requests} more refused",
        )

    async def insist(self, timeout: float = 40) -> None:
        """Send again what was not accepted, as a platform does, until all of it is."""
        deadline = time.monotonic() + timeout
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
            while self._owed:
                owed, self._owed = self._owed, []
                answers = [await self._deliver(http, each, turn) for turn, each in enumerate(owed)]
                if any(outcome != "ok" for outcome in answers):
                    assert time.monotonic() < deadline, f"refused for {timeout} s: {self.counted}"
                    await asyncio.sleep(0.2)

    @property
    def counted(self) -> Counter[Outcome]:
        """How many requests had which outcome."""
        return Counter(attempt.outcome for attempt in self.attempts)

    @property
    def statuses(self) -> set[int | None]:
        """Every answer there was."""
        return {attempt.status for attempt in self.attempts}

    @property
    def marks(self) -> set[str]:
        """Of everything ever sent, accepted or not."""
        return {mark for attempt in self.attempts for mark in attempt.webhook.marks}

    def since(self, moment: float) -> list[Attempt]:
        """Those that began at that monotonic time or later."""
        return [attempt for attempt in self.attempts if attempt.began >= moment]

    async def _post_all(
        self, http: httpx.AsyncClient, account: Account, number: int, stop: asyncio.Event
    ) -> None:
        pause = len(self.accounts) / self.rate
        # The accounts take turns instead of knocking all at once.
        due = time.monotonic() + pause * number / len(self.accounts)
        sent = 0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0, due - time.monotonic()))
            if stop.is_set():
                return
            due = max(due + pause, time.monotonic())
            each = webhook(account)
            sent += 1
            copies = 2 if sent % _TWICE == 0 else 1
            outcomes = await asyncio.gather(
                *(self._deliver(http, each, number + sent) for _ in range(copies))
            )
            if "ok" in outcomes:
                self.accepted.setdefault(account, []).extend(each.marks)

    async def _deliver(self, http: httpx.AsyncClient, each: Webhook, turn: int) -> Outcome:
        start = turn % len(self.targets)
        others = self.targets[start + 1 :] + self.targets[:start]
        # Twice round: the first that was asked may be back when the last one fails.
        for target in (self.targets[start], *(others + self.targets if others else ())):
            attempt = await self._post(http, each, target)
            self.attempts.append(attempt)
            if attempt.status is not None:
                break
        if attempt.outcome != "ok":
            self.lost.append(attempt)
            self._owed.append(each)
        return attempt.outcome

    async def _post(self, http: httpx.AsyncClient, each: Webhook, target: str) -> Attempt:
        began = time.monotonic()
        status: int | None = None
        outcome: Outcome = "failed"
        try:
            answer = await http.post(
                f"{target}/webhooks/{each.account.platform}",
                content=each.body,
                headers=each.headers(),
            )
            status = answer.status_code
            outcome = "ok" if answer.is_success else "failed"
        except httpx.ConnectError:
            pass  # it never left
        except httpx.TransportError:
            outcome = "indeterminate"
        return Attempt(each, began, time.monotonic() - began, status, outcome)
