"""X's webhook management: registration with CRC, activity subscriptions, replay (4.1, 4.2)."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import handshakes, wire
from libs.simulator.context import Sender, Sim
from libs.simulator.simulation import Simulation, XWebhook
from libs.simulator.wire import BadParameter, Json, loopback
from libs.simulator.x import events
from libs.simulator.x.metrics import stamp
from libs.simulator.x.refusals import invalid, refusal, unauthorized

_REPLAY_REACH = timedelta(hours=24)
_MOST = 5
# Subscriptions to these need the user's own grant.
_PRIVATE = ("follow.follow", "follow.unfollow", "like.create")


router = APIRouter(prefix="/x-api/2")


def _app_only(sim: Simulation, request: Request) -> None:
    if wire.bearer(request) != sim.settings.x_app_bearer:
        raise unauthorized()


def _hook(sim: Simulation, hook_id: str) -> XWebhook:
    if hook_id not in sim.kept.x_webhooks:
        raise refusal(
            404, "Not Found Error", f"Could not find webhook {hook_id}.", "resource-not-found"
        )
    return sim.kept.x_webhooks[hook_id]


@router.post("/webhooks")
async def register(request: Request, sim: Sim, sender: Sender) -> Response:
    _app_only(sim, request)
    wire.query(request)
    body = await wire.json_body(request)
    url = _only(body, required={"url"})["url"]
    if not isinstance(url, str) or not loopback(url):
        raise _named("UrlValidationFailed", "The url must be this machine's own.")
    if any(known.url == url for known in sim.kept.x_webhooks.values()):
        raise _named("DuplicateUrlFailed", "The url is registered already.")
    if len(sim.kept.x_webhooks) >= _MOST:
        raise _named("WebhookLimitExceeded", "There are too many webhooks.")
    checked = await handshakes.check(sim, sender.client, "x", url)
    if not checked["passed"]:
        raise _named("CrcValidationFailed", f"CRC check failed: {checked['why']}.")
    made = XWebhook(
        id=str(sim.world.next_id()), url=url, created_at=stamp(sim.clock.now()), valid=True
    )
    sim.kept.x_webhooks[made.id] = made
    sim.keep()
    return JSONResponse({"data": made.model_dump()})


@router.get("/webhooks")
async def registered(request: Request, sim: Sim) -> Response:
    _app_only(sim, request)
    wire.query(request)
    data = [known.model_dump() for known in sim.kept.x_webhooks.values()]
    return JSONResponse({"data": data, "meta": {"result_count": len(data)}})


@router.put("/webhooks/{hook_id}")
async def revalidate(hook_id: str, request: Request, sim: Sim, sender: Sender) -> Response:
    _app_only(sim, request)
    known = _hook(sim, hook_id)
    checked = await handshakes.check(sim, sender.client, "x", known.url)
    known.valid = bool(checked["passed"])
    sim.keep()
    if known.valid:
        sim.muted.pop("x", None)
    if not known.valid:
        raise _named("CrcValidationFailed", f"CRC check failed: {checked['why']}.")
    return JSONResponse({"data": {"valid": True}})


@router.delete("/webhooks/{hook_id}")
async def remove(hook_id: str, request: Request, sim: Sim) -> Response:
    _app_only(sim, request)
    _hook(sim, hook_id)
    del sim.kept.x_webhooks[hook_id]
    kept = sim.kept.x_subscriptions
    for number in [n for n, one in kept.items() if one["webhook_id"] == hook_id]:
        del kept[number]
    sim.keep()
    return JSONResponse({"data": {"deleted": True}})


@router.post("/activity/subscriptions")
async def subscribe(request: Request, sim: Sim) -> Response:
    _app_only(sim, request)
    wire.query(request)
    body = await wire.json_body(request)
    given = _only(body, required={"event_type", "filter", "webhook_id"}, optional={"tag"})
    event, chosen = given["event_type"], given["filter"]
    if event not in events.EVENTS:
        raise invalid("event_type", f"[{event}] is not one of {', '.join(events.EVENTS)}")
    _hook(sim, str(given["webhook_id"]))
    if event in events.UNFILTERED:
        if chosen != {}:
            raise BadParameter("filter", "malformed")
    elif not isinstance(chosen, dict) or set(chosen) != {"user_id"}:
        raise BadParameter("filter", "malformed")
    elif event in _PRIVATE and not _granted(sim, chosen["user_id"]):
        raise refusal(
            403,
            "Forbidden",
            "The user has not authorized your application for this event.",
            "not-authorized-for-resource",
        )
    number = str(sim.world.next_id())
    sim.kept.x_subscriptions[number] = dict(given)
    sim.keep()
    data = {"subscription_id": number, **given}
    return JSONResponse(
        {"data": data, "meta": {"total_subscriptions": len(sim.kept.x_subscriptions)}}
    )


@router.get("/activity/subscriptions")
async def subscribed(request: Request, sim: Sim) -> Response:
    _app_only(sim, request)
    wire.query(request)
    data = [{"subscription_id": n, **given} for n, given in sim.kept.x_subscriptions.items()]
    return JSONResponse({"data": data, "meta": {"total_subscriptions": len(data)}})


@router.delete("/activity/subscriptions/{number}")
async def unsubscribe(number: str, request: Request, sim: Sim) -> Response:
    _app_only(sim, request)
    if sim.kept.x_subscriptions.pop(number, None) is None:
        raise refusal(
            404, "Not Found Error", "Could not find the subscription.", "resource-not-found"
        )
    sim.keep()
    return JSONResponse({"data": {"deleted": True}})


@router.post("/webhooks/replay")
async def replay(request: Request, sim: Sim, sender: Sender) -> Response:
    _app_only(sim, request)
    wire.query(request)
    body = await wire.json_body(request)
    given = _only(body, required={"webhook_id", "from_date", "to_date"})
    known = _hook(sim, str(given["webhook_id"]))
    now = sim.clock.now()
    try:
        since, until = _minute(str(given["from_date"])), _minute(str(given["to_date"]))
    except ValueError:
        raise BadParameter("from_date", "malformed") from None
    if not now - _REPLAY_REACH <= since < until or (now - until).total_seconds() < 600:
        raise BadParameter("to_date", "malformed")
    job = str(sim.world.next_id())

    payload: Json = {"job_id": job, "job_state": "Complete", "webhook_id": known.id}
    last = events.envelope(sim.world, sim.world.of("x")[0], "replay_job_status", payload)
    again = sender.between("x", since, until)
    again += events.pack([last], 1, now, sim.settings, "good")
    sender.later(again)
    return JSONResponse({"data": {"job_id": job, "created_at": stamp(now)}})


def _granted(sim: Simulation, user_id: object) -> bool:
    handles = sim.grants.connected("x")
    return any(p.account_id == user_id and p.handle in handles for p in sim.world.of("x"))


def _only(body: Json, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
    for name in body:
        if name not in required and name not in optional:
            raise BadParameter(name, "unknown")
    for name in required:
        if name not in body:
            raise BadParameter(name, "missing")
    return body


def _named(name: str, detail: str) -> wire.Refusal:
    refused = refusal(400, name, detail, "invalid-request")
    refused.body["errors"] = [{"code": name, "message": detail}]
    return refused


def _minute(text: str) -> datetime:
    """`yyyymmddhhmm` in UTC. Raises ValueError."""
    if len(text) != 12 or not text.isdigit():
        raise ValueError("not yyyymmddhhmm")
    return datetime.strptime(text + "+0000", "%Y%m%d%H%M%z")
