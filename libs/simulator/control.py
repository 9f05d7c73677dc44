"""The control API under /_control: what tests and the local stack drive. JSON in, JSON out."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from libs.simulator import handshakes
from libs.simulator.consent import Choice
from libs.simulator.context import Faults, Sender, Sim
from libs.simulator.courier import report
from libs.simulator.emitting import Emission, emit, generate
from libs.simulator.faults import Fault, Kind
from libs.simulator.history import history
from libs.simulator.people import Person, account_ids
from libs.simulator.wire import PLATFORMS, Json, Platform


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ConsentBody(Choice):
    platform: Platform | None = None


class NewPerson(_Strict):
    platform: Platform
    handle: Annotated[str, Field(min_length=1, max_length=64)]
    name: str | None = None
    account_id: str | None = None
    member_id: str | None = None
    followers: Annotated[int, Field(ge=0, le=2_000_000_000)] = 1000
    following: Annotated[int, Field(ge=0)] = 200
    posts_per_week: Annotated[float, Field(ge=0, le=200)] = 3.0
    daily_growth: float = 0.0012
    verified: bool = False
    organisation: bool = True
    role: str = "ADMINISTRATOR"
    refresh_tokens: bool = False


class FaultBody(_Strict):
    platform: Platform
    kind: Kind
    path_prefix: str = ""
    times: Annotated[int, Field(ge=1)] = 1
    delay_s: Annotated[float, Field(ge=0)] = 0.0


class RevokeBody(_Strict):
    platform: Platform
    handle: str
    notify: bool = True


class LimitBody(_Strict):
    rule: str
    limit: Annotated[int, Field(ge=0)] | None


class HandshakeBody(_Strict):
    platform: Platform


class ClockBody(_Strict):
    advance_s: Annotated[float, Field(ge=0)]


# What a platform sends when somebody takes the grant back; LinkedIn says nothing.
_REVOKED: dict[Platform, str] = {
    "instagram": "deauthorize",
    "tiktok": "authorization.removed",
    "x": "oauth.revoke",
}


router = APIRouter(prefix="/_control")


@router.get("/state")
async def state(sim: Sim, sender: Sender) -> Json:
    """The clock, who is connected, what is muted, what waits to be sent again."""
    return {
        "now": sim.clock.now().isoformat(),
        "seed": sim.settings.seed,
        "webhook_target": sim.settings.webhook_target,
        "connected": {platform: sim.grants.connected(platform) for platform in PLATFORMS},
        "muted": sim.muted,
        "waiting_for_redelivery": sender.pending(),
    }


@router.post("/consent")
async def consent(body: ConsentBody, sim: Sim) -> Json:
    """How the consent pages answer from now on, of one platform or of all."""
    choice = Choice.model_validate(body.model_dump(by_alias=True, exclude={"platform"}))
    for platform in PLATFORMS if body.platform is None else (body.platform,):
        sim.consent[platform] = choice
    return {p: sim.choice(p).model_dump(by_alias=True) for p in PLATFORMS}


@router.get("/people")
async def people(sim: Sim, platform: Platform | None = None) -> list[Json]:
    now = sim.clock.now()
    return [
        {**person.model_dump(mode="json"), "followers_now": sim.world.followers(person, now)}
        for person in sim.world.people
        if platform in (None, person.platform)
    ]


@router.post("/people")
async def put_person(body: NewPerson, sim: Sim) -> Json:
    """Creates a person, or replaces the one of that handle; their anchor is now."""
    account_id, member_id = account_ids(body.platform, body.handle)
    given = body.model_dump()
    given["name"] = body.name or body.handle
    given["account_id"] = body.account_id or account_id
    given["member_id"] = body.member_id or member_id
    person = Person(**given, anchor=sim.clock.now())
    sim.world.put(person)
    sim.keep()
    return person.model_dump(mode="json")


@router.post("/emit")
async def emit_now(body: Emission, sim: Sim, sender: Sender) -> Response:
    """Generates, sends and reports; answers when every first attempt is over."""
    try:
        return _json(await emit(sim, sender, body))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


@router.post("/generate")
async def generate_only(body: Emission, sim: Sim) -> Response:
    """The same without sending; status is null."""
    try:
        return _json([report(one, None) for one in generate(sim, body)])
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


@router.get("/faults")
async def list_faults(faults: Faults) -> list[Json]:
    return [vars(fault) for fault in faults]


@router.post("/faults")
async def add_fault(body: FaultBody, faults: Faults) -> list[Json]:
    faults.append(Fault(**body.model_dump()))
    return [vars(fault) for fault in faults]


@router.delete("/faults")
async def clear_faults(faults: Faults) -> list[Json]:
    faults.clear()
    return []


@router.post("/limits")
async def set_limit(body: LimitBody, sim: Sim) -> Json:
    """Tightens a rate limit; null restores the platform's own. The rules are in README.md."""
    sim.limits.override(body.rule, body.limit)
    return body.model_dump()


@router.post("/revoke")
async def revoke(body: RevokeBody, sim: Sim, sender: Sender) -> Json:
    """Kills a person's tokens, and tells the receiver where the platform would."""
    person = sim.world.person(body.platform, body.handle)
    if person is None:
        raise HTTPException(422, "no such person on this platform")
    killed = sim.grants.revoke(sim.grants.of(body.platform, body.handle))
    sim.kept.instagram_fields.pop(person.account_id, None)
    sent: list[Json] = []
    event = _REVOKED.get(body.platform)
    if body.notify and event is not None:
        wanted = Emission(platform=body.platform, event=event, handles=[body.handle])
        sent = await emit(sim, sender, wanted)
    return {"tokens_killed": killed, "sent": sent}


@router.post("/handshake")
async def handshake(body: HandshakeBody, sim: Sim, sender: Sender) -> Json:
    """Performs the platform's check of the target; passing unblocks a muted platform."""
    checked = await handshakes.check(sim, sender.client, body.platform)
    if checked["passed"]:
        sim.muted.pop(body.platform, None)
    return checked


@router.get("/history")
async def past(
    platform: Platform,
    handle: str,
    sim: Sim,
    *,
    days: Annotated[int, Query(ge=1, le=400)] = 90,
    posts_every: Annotated[int, Query(ge=1, le=400)] = 1,
) -> Response:
    person = sim.world.person(platform, handle)
    if person is None:
        raise HTTPException(404, "no such person on this platform")
    return _json(list(history(sim.world, person, days, posts_every=posts_every)))


@router.get("/log")
async def log(sim: Sim, limit: Annotated[int, Query(ge=1, le=2000)] = 200) -> Json:
    return sim.journal.entries(limit)


@router.post("/clock")
async def advance(body: ClockBody, sim: Sim) -> Json:
    """Moves the simulator's clock forward, to outlive a token or a limit."""
    sim.clock.advance(body.advance_s)
    return {"now": sim.clock.now().isoformat()}


def _json(value: Any) -> Response:
    """Large answers straight from orjson, past FastAPI's own walk through them."""
    return Response(orjson.dumps(value), media_type="application/json")
