"""Makes webhooks on demand: which events, for whom, how packed, how damaged."""

import asyncio
from datetime import timedelta
from random import Random
from types import ModuleType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from libs.simulator.courier import Courier
from libs.simulator.instagram import events as instagram_events
from libs.simulator.items import Delivery, Signature
from libs.simulator.linkedin import events as linkedin_events
from libs.simulator.people import Person
from libs.simulator.simulation import Simulation
from libs.simulator.tiktok import events as tiktok_events
from libs.simulator.wire import Json, Platform
from libs.simulator.x import events as x_events

# Each module has EVENTS, COMMON, make() and pack().
SOURCES: dict[Platform, ModuleType] = {
    "instagram": instagram_events,
    "tiktok": tiktok_events,
    "linkedin": linkedin_events,
    "x": x_events,
}


class Emission(BaseModel):
    """What to make. Without `event`, a believable mixture; without `handles`, every connected
    account of the platform, or every account if none is connected."""

    model_config = ConfigDict(extra="forbid")

    platform: Platform
    event: str | None = None
    handles: list[str] | None = None
    count: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    # Items per request, within the platform's own limit.
    batch: Annotated[int, Field(ge=1, le=1000)] = 1
    # Extra copies of each request, byte for byte.
    duplicates: Annotated[int, Field(ge=0, le=100)] = 0
    shuffle: bool = False
    signature: Signature = "good"
    # How old the events are, in seconds.
    age: Annotated[float, Field(ge=0)] = 0.0
    # Sending only: seconds before each request, requests at once, and whether refused requests
    # are tried again as the platform would.
    delay: Annotated[float, Field(ge=0)] = 0.0
    concurrency: Annotated[int, Field(ge=1, le=500)] = 1
    retry: bool = True


def generate(sim: Simulation, wanted: Emission) -> list[Delivery]:
    """The signed requests in the order of sending; nothing is sent and the world stays as it is.

    Raises ValueError for an unknown event or handle.
    """
    source = SOURCES[wanted.platform]
    if wanted.event is not None and wanted.event not in source.EVENTS:
        raise ValueError(f"{wanted.platform} has the events {', '.join(source.EVENTS)}")
    people = _people(sim, wanted)
    rng = Random(f"{sim.world.seed}:{sim.world.next_id()}")
    now = sim.clock.now()
    at = now - timedelta(seconds=wanted.age)
    items = [
        source.make(
            sim.world, rng.choice(people), wanted.event or rng.choice(source.COMMON), at, rng
        )
        for _ in range(wanted.count)
    ]
    signature = wanted.signature
    made: list[Delivery] = source.pack(items, wanted.batch, now, sim.settings, signature)
    made = [one for one in made for _ in range(wanted.duplicates + 1)]
    if wanted.shuffle:
        rng.shuffle(made)
    return made


async def emit(sim: Simulation, courier: Courier, wanted: Emission) -> list[Json]:
    """Generates and sends; answers a report per request, in the order of sending."""
    gate = asyncio.Semaphore(wanted.concurrency)
    retry = wanted.retry and wanted.signature == "good"

    async def send(delivery: Delivery) -> Json:
        async with gate:
            if wanted.delay:
                await asyncio.sleep(wanted.delay)
            return await courier.send(delivery, retry=retry)

    return list(await asyncio.gather(*(send(one) for one in generate(sim, wanted))))


def _people(sim: Simulation, wanted: Emission) -> list[Person]:
    handles = wanted.handles
    if handles is None:
        handles = sim.grants.connected(wanted.platform)
    everyone = sim.world.of(wanted.platform)
    if not handles:
        return [p for p in everyone if wanted.platform != "linkedin" or p.organisation]
    chosen = [person for person in everyone if person.handle in handles]
    if len(chosen) != len(set(handles)):
        raise ValueError("no such person on this platform; see GET /_control/people")
    return chosen
