"""Who calls the Graph API, and the answer every call gets: usage headers or the throttle (1.6)."""

import json
from datetime import UTC, datetime, timedelta

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import wire
from libs.simulator.grants import Token
from libs.simulator.instagram import insights
from libs.simulator.instagram.refusals import demand, not_found, refusal, throttled, usable
from libs.simulator.people import Person, Post
from libs.simulator.simulation import Simulation
from libs.simulator.wire import BadParameter, Json

VERSIONS = ("v22.0", "v23.0", "v24.0", "v25.0")
BASIC = "instagram_business_basic"
_BUDGET_PER_VIEW = 4800


def caller(sim: Simulation, request: Request, scope: str = BASIC) -> tuple[Token, Person]:
    """Whose token it is, by parameter or bearer header. Raises 190 or the permission error."""
    token = usable(sim.grants, request.query_params.get("access_token") or wire.bearer(request))
    person = sim.world.person("instagram", token.handle)
    if person is None:
        raise refusal(400, 190, "The user account has been removed", 458)
    demand(token, scope)
    return token, person


def answer(sim: Simulation, person: Person, body: Json) -> Response:
    """The body with the usage headers of section 1.6; raises the throttle when used up."""
    views = insights.account_insights(sim.world, person, sim.clock.now(), ("views",))
    budget = _BUDGET_PER_VIEW * max(1, views["data"][0]["total_value"]["value"])
    status = sim.settings.instagram_throttle_status
    account = sim.limits.sliding("instagram.account", person.account_id, budget, 86400)
    app = sim.limits.sliding("instagram.app", "app", 200_000, 3600)
    used = min(100, account.used * 100 // max(1, account.limit))
    usage = {"call_count": used, "total_cputime": used // 3, "total_time": used // 2}
    minutes = 0 if account.allowed else max(1, (account.reset - _unix(sim)) // 60)
    report = [{"type": "instagram", **usage, "estimated_time_to_regain_access": minutes}]
    share = min(100, app.used * 100 // max(1, app.limit))
    overall = {"call_count": share, "total_cputime": share // 3, "total_time": share // 2}
    headers = {
        "X-Business-Use-Case-Usage": json.dumps({person.account_id: report}),
        "X-App-Usage": json.dumps(overall),
    }
    if not account.allowed or not app.allowed:
        refused = throttled(status, 4 if account.allowed else 80002)
        refused.headers.update(headers)
        raise refused
    return JSONResponse(body, headers=headers)


def post_of(sim: Simulation, person: Person, media_id: str) -> Post:
    """The caller's own post; raises for any other id, as for one that does not exist."""
    post = sim.world.find_post(person, media_id, sim.clock.now())
    if post is None:
        raise absent(media_id)
    return post


def versioned(version: str) -> None:
    """Raises unless the API version is one that is served."""
    if version not in VERSIONS:
        raise not_found(404)


def own(person: Person, node: str) -> None:
    """Raises unless the node is the caller's own account, by either id."""
    if node not in (person.account_id, person.member_id, "me"):
        raise absent(node)


def absent(node: str) -> wire.Refusal:
    return refusal(
        400,
        100,
        f"Unsupported request. Object with ID '{node}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation.",
        33,
        kind="IGApiException",
    )


def window_of(
    given: dict[str, str], now: datetime, longest: timedelta
) -> tuple[datetime, datetime] | None:
    """since and until in unix seconds; None when neither is given."""
    if "since" not in given and "until" not in given:
        return None
    until = wire.whole(given.get("until", str(int(now.timestamp()))), "until", 0, 4_000_000_000)
    since = wire.whole(given.get("since", str(until - 86400)), "since", 0, 4_000_000_000)
    start, end = datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
    if start > end:
        raise BadParameter("since", "malformed")
    if end - start > longest:
        raise refusal(
            400,
            100,
            "(#100) There cannot be more than 30 days (2592000 s) between since and until",
            kind="IGApiException",
        )
    return start, end


def _unix(sim: Simulation) -> int:
    return int(sim.clock.now().timestamp())
