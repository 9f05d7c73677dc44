"""open.tiktokapis.com: user info and videos, strictly read (sections 2.5 and 2.6)."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import wire
from libs.simulator.context import Sim
from libs.simulator.people import Person
from libs.simulator.simulation import Simulation
from libs.simulator.tiktok import metrics
from libs.simulator.tiktok.refusals import demand, done, refusal, throttled, usable
from libs.simulator.wire import BadParameter, Json

router = APIRouter(prefix="/tiktok-api/v2")


def _caller(sim: Simulation, request: Request, endpoint: str) -> tuple[Person, tuple[str, ...]]:
    """Who calls and what they granted; counts the call against its sliding minute."""
    token = usable(sim.grants, wire.bearer(request))
    person = sim.world.person("tiktok", token.handle)
    if person is None:
        raise refusal(401, "access_token_invalid", "The user no longer exists.")
    if not sim.limits.sliding(f"tiktok.{endpoint}", "app", 600, 60).allowed:
        raise throttled()
    return person, token.scopes


@router.get("/user/info/")
async def user_info(request: Request, sim: Sim) -> Response:
    person, scopes = _caller(sim, request, "user.info")
    given = wire.query(request, {"fields"})
    names = wire.listed(given["fields"], "fields", metrics.USER_FIELDS)
    for name in names:
        demand(scopes, metrics.USER_FIELDS[name])
    return JSONResponse(metrics.user_info(sim.world, person, sim.clock.now(), tuple(names)))


@router.post("/video/list/")
async def video_list(request: Request, sim: Sim) -> Response:
    person, scopes = _caller(sim, request, "video.list")
    demand(scopes, "video.list")
    names = _fields(request)
    body = await wire.json_body(request)
    _only(body, {"cursor", "max_count"})
    size = _number(body, "max_count", 10, 1, metrics.PAGE)
    cursor = _number(body, "cursor", 0, 0, 2**63 - 1)
    return JSONResponse(
        metrics.video_list(
            sim.world,
            person,
            sim.clock.now(),
            names=names,
            cursor=cursor or None,
            max_count=size,
        )
    )


@router.post("/video/query/")
async def video_query(request: Request, sim: Sim) -> Response:
    person, scopes = _caller(sim, request, "video.query")
    demand(scopes, "video.list")
    names = _fields(request)
    body = await wire.json_body(request)
    _only(body, {"filters"})
    filters = body.get("filters")
    if not isinstance(filters, dict):
        raise BadParameter("filters", "missing")
    _only(filters, {"video_ids"})
    ids = filters.get("video_ids")
    if (
        not isinstance(ids, list)
        or not 1 <= len(ids) <= metrics.PAGE
        or not all(isinstance(one, str) for one in ids)
    ):
        raise BadParameter("video_ids", "malformed")
    now = sim.clock.now()
    # Videos of other people are left out, not refused.
    posts = [post for post in sim.world.posts(person, now) if post.id in ids]
    videos = [metrics.video(sim.world, person, post, now, names) for post in posts]
    return JSONResponse(done({"videos": videos}))


def _fields(request: Request) -> tuple[str, ...]:
    given = wire.query(request, {"fields"})
    return tuple(wire.listed(given["fields"], "fields", metrics.VIDEO_FIELDS))


def _only(body: Json, allowed: set[str]) -> None:
    for name in body:
        if name not in allowed:
            raise BadParameter(name, "unknown")


def _number(body: Json, name: str, default: int, low: int, high: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadParameter(name, "malformed")
    return value
