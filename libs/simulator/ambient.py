"""What goes on by itself: webhooks now and then, and the platforms' checks of the receiver."""

import asyncio
import logging
from random import Random

from libs.simulator import handshakes
from libs.simulator.courier import Courier
from libs.simulator.emitting import Emission, emit
from libs.simulator.people import Person
from libs.simulator.simulation import Simulation
from libs.simulator.wire import PLATFORMS, Platform

log = logging.getLogger(__name__)
_STRIKES = 3


async def drip(sim: Simulation, courier: Courier) -> None:
    """Sends a believable webhook for a random connected account every so often, for ever."""
    rng = Random()
    while True:
        # Uneven gaps with the wanted mean look like life.
        await asyncio.sleep(sim.settings.drip * rng.uniform(0.5, 1.5))
        candidates = [
            (platform, person.handle)
            for platform in PLATFORMS
            for person in sim.world.of(platform)
            if person.handle in sim.grants.connected(platform) and _listening(sim, person)
        ]
        if candidates:
            platform, handle = rng.choice(candidates)
            await emit(sim, courier, Emission(platform=platform, handles=[handle]))


async def watch_x(sim: Simulation, courier: Courier) -> None:
    """X's CRC check of every callback, for ever: a wrong answer stops its webhooks at once."""
    while True:
        await asyncio.sleep(sim.settings.crc_interval)
        for hook in list(sim.kept.x_webhooks.values()):
            checked = await handshakes.check(sim, courier.client, "x", hook.url)
            # Silence and 5xx are forgiven for a day; only a wrong answer is not.
            if checked["passed"] or (checked["status"] is not None and checked["status"] < 500):
                hook.valid = bool(checked["passed"])
                _mute(sim, "x", None if hook.valid else checked["why"])
        sim.keep()


async def watch_linkedin(sim: Simulation, courier: Courier) -> None:
    """LinkedIn's challenge of every callback, for ever: three failures in a row block it."""
    strikes = 0
    while True:
        await asyncio.sleep(sim.settings.challenge_interval)
        for url in {url for url, _ in sim.kept.linkedin_subscriptions.values()}:
            checked = await handshakes.check(sim, courier.client, "linkedin", url)
            strikes = 0 if checked["passed"] else strikes + 1
            if strikes >= _STRIKES:
                _mute(sim, "linkedin", checked["why"])


def _mute(sim: Simulation, platform: Platform, why: str | None) -> None:
    if why is None:
        sim.muted.pop(platform, None)
    else:
        log.warning("%s sends no more webhooks: %s", platform, why)
        sim.muted[platform] = why


def _listening(sim: Simulation, person: Person) -> bool:
    """Whether ambient webhooks go to this account."""
    if person.platform == "linkedin" and not person.organisation:
        return False
    if not sim.settings.require_subscription or person.platform == "tiktok":
        return True
    kept = sim.kept
    if person.platform == "instagram":
        return "comments" in kept.instagram_fields.get(person.account_id, [])
    if person.platform == "linkedin":
        return f"urn:li:organization:{person.account_id}" in kept.linkedin_subscriptions
    wanted = {"user_id": person.account_id}
    return any(one["filter"] == wanted for one in kept.x_subscriptions.values())
