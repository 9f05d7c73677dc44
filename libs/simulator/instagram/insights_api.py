"""graph.instagram.com: insights of the account and of one media object, strictly read (1.5)."""

from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response

from libs.simulator import wire
from libs.simulator.context import Sim
from libs.simulator.instagram import insights
from libs.simulator.instagram.caller import answer, caller, post_of, versioned, window_of
from libs.simulator.instagram.refusals import refusal
from libs.simulator.people import Person
from libs.simulator.simulation import Simulation
from libs.simulator.wire import BadParameter, Json

_INSIGHTS = "instagram_business_manage_insights"

router = APIRouter(prefix="/instagram-graph")


@router.get("/{version}/{node}/insights")
async def node_insights(version: str, node: str, request: Request, sim: Sim) -> Response:
    versioned(version)
    _, person = caller(sim, request, _INSIGHTS)
    if node in (person.account_id, person.member_id, "me"):
        return answer(sim, person, _account_insights(sim, person, request))
    post = post_of(sim, person, node)
    given = wire.query(request, {"metric"}, {"period", "access_token"})
    if given.get("period", "lifetime") != "lifetime":
        raise BadParameter("period", "malformed")
    metrics = tuple(given["metric"].split(","))
    for name in metrics:
        if name not in insights.media_metrics(post):
            raise refusal(
                400,
                100,
                f"(#100) The Media Insights API does not support the {name} metric for this "
                "media product type.",
                kind="IGApiException",
            )
    now = sim.clock.now()
    return answer(sim, person, insights.media_insights(sim.world, person, post, now, metrics))


def _account_insights(sim: Simulation, person: Person, request: Request) -> Json:
    given = wire.query(
        request,
        {"metric", "period"},
        {"metric_type", "breakdown", "timeframe", "since", "until", "access_token"},
    )
    world, now = sim.world, sim.clock.now()
    metrics = tuple(given["metric"].split(","))
    if given["period"] == "lifetime":
        return _lifetime(sim, person, metrics, given)
    if given["period"] != "day":
        raise BadParameter("period", "malformed")
    window = window_of(given, now, timedelta(days=30))
    kind = given.get("metric_type", "time_series")
    allowed = {"total_value": insights.TOTALS, "time_series": insights.SERIES}.get(kind)
    if allowed is None:
        raise BadParameter("metric_type", "malformed")
    for name in metrics:
        if name not in allowed:
            raise refusal(
                400,
                100,
                f"(#100) metric[0] must be one of {', '.join(allowed)} for metric_type {kind}; "
                f"{name} is not.",
                kind="IGApiException",
            )
    if kind == "time_series":
        return insights.account_series(world, person, now, metrics, window)
    breakdown = given.get("breakdown")
    if breakdown not in (None, "follow_type") or (
        breakdown == "follow_type" and metrics != ("follows_and_unfollows",)
    ):
        raise BadParameter("breakdown", "malformed")
    return insights.account_insights(world, person, now, metrics, window)


def _lifetime(
    sim: Simulation, person: Person, metrics: tuple[str, ...], given: dict[str, str]
) -> Json:
    now = sim.clock.now()
    if metrics == ("online_followers",):
        return insights.online_followers(sim.world, person, now)
    if metrics != ("follower_demographics",):
        raise BadParameter("metric", "malformed")
    if given.get("metric_type") != "total_value":
        raise BadParameter("metric_type", "missing")
    if given.get("timeframe") not in ("this_month", "this_week"):
        raise BadParameter("timeframe", "missing")
    breakdown = given.get("breakdown", "")
    if breakdown not in insights.BREAKDOWNS:
        raise BadParameter("breakdown", "malformed" if breakdown else "missing")
    return insights.demographics(sim.world, person, now, breakdown)
