"""LinkedIn's webhook subscriptions, with their challenge, and the notification backfill (3.2)."""

import re
from datetime import timedelta
from urllib.parse import unquote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import handshakes, wire
from libs.simulator.context import Sender, Sim
from libs.simulator.linkedin import events, metrics, restli
from libs.simulator.linkedin.caller import Caller, caller
from libs.simulator.linkedin.refusals import denied, refusal
from libs.simulator.simulation import Simulation
from libs.simulator.wire import BadParameter, Json, loopback

_KEY = re.compile(
    r"\(developerApplication:(?P<app>[^,()]+),user:(?P<user>[^,()]+),"
    r"entity:(?P<entity>[^,()]+),eventType:(?P<kind>[A-Z_]+)\)"
)
_LIFE = timedelta(days=90)
_BACKFILL = timedelta(days=60)


router = APIRouter(prefix="/linkedin-api/rest")


@router.put("/eventSubscriptions/{key}")
async def subscribe(request: Request, sim: Sim, sender: Sender) -> Response:
    who = caller(sim, request, "eventSubscriptions")
    restli.query(request, ())
    key = _key(request, who)
    body = await wire.json_body(request)
    if set(body) != {"webhook"}:
        raise BadParameter("webhook", "missing" if "webhook" not in body else "unknown")
    url = body["webhook"]
    if not isinstance(url, str) or not loopback(url):
        raise BadParameter("webhook", "malformed")
    checked = await handshakes.check(sim, sender.client, "linkedin", url)
    if not checked["passed"]:
        raise refusal(400, "WEBHOOK_VALIDATION_FAILED", f"Challenge failed: {checked['why']}")
    expires = int((sim.clock.now() + _LIFE).timestamp() * 1000)
    sim.kept.linkedin_subscriptions[key] = (url, expires)
    sim.keep()
    return Response(status_code=204)


@router.get("/eventSubscriptions/{key}")
async def subscription(request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "eventSubscriptions")
    restli.query(request, ())
    key = _key(request, who)
    url, expires = _current(sim, key)
    return JSONResponse({"webhook": url, "expiresAt": expires})


@router.delete("/eventSubscriptions/{key}")
async def unsubscribe(request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "eventSubscriptions")
    restli.query(request, ())
    key = _key(request, who)
    _current(sim, key)
    del sim.kept.linkedin_subscriptions[key]
    sim.keep()
    return Response(status_code=204)


@router.get("/organizationalEntityNotifications")
async def notifications(request: Request, sim: Sim, sender: Sender) -> Response:
    who = caller(sim, request, "organizationalEntityNotifications")
    given = restli.query(
        request, ("q", "organizationalEntity"), ("actions", "timeRange", "start", "count")
    )
    if given["q"] != "criteria":
        raise BadParameter("q", "malformed")
    who.demand("rw_organization_admin")
    who.administer(given["organizationalEntity"], "organizationalEntity")
    start = wire.whole(given.get("start", "0"), "start", 0, 10_000)
    count = wire.whole(given.get("count", "10"), "count", 1, 100)
    now = sim.clock.now()
    elements = [
        item.content
        for delivery in sender.between("linkedin", now - _BACKFILL, now)
        for item in delivery.items
        if item.account_id == who.person.account_id
    ][::-1]
    paging: Json = {"start": start, "count": count, "total": len(elements), "links": []}
    return JSONResponse({"paging": paging, "elements": elements[start : start + count]})


def _key(request: Request, who: Caller) -> str:
    """The subscription key of the path, whose parts belong to the caller. Raises 400, 403."""
    found = _KEY.fullmatch(restli.path_value(request, "key"))
    if found is None:
        raise BadParameter("key", "malformed")
    who.demand("rw_organization_admin")
    who.administer(found["entity"], "entity")
    if not unquote(found["app"]).startswith("urn:li:developerApplication:"):
        raise BadParameter("developerApplication", "malformed")
    if unquote(found["user"]) != metrics.member_urn(who.person):
        raise denied("user of the subscription")
    if found["kind"] != events.KIND:
        raise BadParameter("eventType", "malformed")
    return metrics.organisation_urn(who.person)


def _current(sim: Simulation, key: str) -> tuple[str, int]:
    url, expires = sim.kept.linkedin_subscriptions.get(key, ("", 0))
    if expires <= sim.clock.now().timestamp() * 1000:
        raise refusal(404, "NOT_FOUND", "No such subscription")
    return url, expires
