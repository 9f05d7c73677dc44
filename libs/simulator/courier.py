"""Sends webhooks, and sends them again as stubbornly as each platform does."""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Iterator
from datetime import datetime

import httpx

from libs.simulator.items import Delivery
from libs.simulator.simulation import Simulation
from libs.simulator.wire import Json, Platform

log = logging.getLogger(__name__)
_REMEMBERED = 10_000


class Courier:
    """Owns the HTTP client to the receiver and the redeliveries under way."""

    def __init__(self, sim: Simulation, client: httpx.AsyncClient) -> None:
        self._sim = sim
        self.client = client
        self._again: set[asyncio.Task[None]] = set()
        # What was to be delivered, for X's replay and LinkedIn's backfill.
        self._recent: dict[Platform, deque[tuple[datetime, Delivery]]] = {
            "x": deque(maxlen=_REMEMBERED),
            "linkedin": deque(maxlen=_REMEMBERED),
        }

    async def send(self, delivery: Delivery, *, retry: bool = True) -> Json:
        """One attempt, reported; what fails is tried again in the background if `retry`.

        The receiver may be down: that is reported as status null, never raised.
        """
        if retry and delivery.platform in self._recent:
            self._recent[delivery.platform].append((self._sim.clock.now(), delivery))
        for item in delivery.items:
            if item.effect is not None:
                self._sim.world.happen(*item.effect)
        muted = self._sim.muted.get(delivery.platform)
        if muted is not None:
            log.warning("no webhook to %s: %s", delivery.platform, muted)
            return report(delivery, None)
        status = await self._attempt(delivery, 1)
        if retry and not _taken(delivery.platform, status):
            self._keep(self._insist(delivery))
        return report(delivery, status)

    def later(self, deliveries: list[Delivery]) -> None:
        """Sends them once more in the background, in order; changes nothing in the world."""
        self._keep(self._repeat(deliveries))

    def pending(self) -> int:
        """How many webhooks wait to be sent again."""
        return len(self._again)

    def between(self, platform: Platform, since: datetime, until: datetime) -> list[Delivery]:
        """What X or LinkedIn had to deliver in a window, whether it arrived or not."""
        recent = self._recent.get(platform, ())
        return [delivery for at, delivery in recent if since <= at <= until]

    async def close(self) -> None:
        """Gives up what is still under way."""
        for task in self._again:
            task.cancel()
        await asyncio.gather(*self._again, return_exceptions=True)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    async def _repeat(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            await self._attempt(delivery, 1)

    async def _insist(self, delivery: Delivery) -> None:
        for number, wait in enumerate(redelivery_waits(delivery.platform), start=2):
            await asyncio.sleep(wait * self._sim.settings.retry_scale)
            if _taken(delivery.platform, await self._attempt(delivery, number)):
                return
        log.warning("gave up on a %s webhook", delivery.platform)

    def _url(self, delivery: Delivery) -> str:
        """Where it goes: to the callback registered with the platform, else to the target."""
        kept = self._sim.kept
        if delivery.platform == "x":
            for hook in kept.x_webhooks.values():
                if hook.valid:
                    return hook.url
        if delivery.platform == "linkedin" and delivery.items:
            urn = f"urn:li:organization:{delivery.items[0].account_id}"
            if urn in kept.linkedin_subscriptions:
                return kept.linkedin_subscriptions[urn][0]
        return self._sim.settings.webhook_target + delivery.path

    async def _attempt(self, delivery: Delivery, number: int) -> int | None:
        status: int | None = None
        failed: str | None = None
        url = self._url(delivery)
        try:
            answer = await self.client.post(url, content=delivery.body, headers=delivery.headers)
            status = answer.status_code
        except httpx.HTTPError as error:
            failed = type(error).__name__
        self._sim.journal.sent(
            self._sim.clock.now(),
            {
                "platform": delivery.platform,
                "url": url,
                "attempt": number,
                "status": status,
                "error": failed,
                "items": [item.dedupe for item in delivery.items],
            },
        )
        return status


def redelivery_waits(platform: Platform) -> Iterator[float]:
    """Seconds before each further attempt (sections 1.1, 2.1, 3.2, 4.1)."""
    if platform == "instagram":
        yield 0.0
        waited, wait, longest = 0.0, 60.0, 36 * 3600.0
    elif platform == "tiktok":
        waited, wait, longest = 0.0, 15.0, 72 * 3600.0
    elif platform == "linkedin":
        yield from [300.0] * (8 * 12)
        return
    else:
        return
    while waited + wait <= longest:
        yield wait
        waited += wait
        wait *= 2


def report(delivery: Delivery, status: int | None) -> Json:
    """A delivery as the control API shows it; `status` null when nobody answered."""
    return {
        "path": delivery.path,
        "body": delivery.body.decode(),
        "headers": delivery.headers,
        "status": status,
        "items": [
            {
                "event": item.event,
                "handle": item.handle,
                "account_id": item.account_id,
                "dedupe": item.dedupe,
            }
            for item in delivery.items
        ],
    }


def _taken(platform: Platform, status: int | None) -> bool:
    if status is None:
        return False
    return 200 <= status < 300 if platform == "linkedin" else status == 200
