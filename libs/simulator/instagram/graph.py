"""graph.instagram.com: profile, media, insights and webhook subscriptions, strictly read."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import wire
from libs.simulator.grants import Token
from libs.simulator.instagram import insights
from libs.simulator.instagram.refusals import demand, not_found, refusal, throttled, usable
from libs.simulator.people import Person, Post
from libs.simulator.simulation import Simulation
from libs.simulator.wire import BadParameter, Json

VERSIONS = ("v22.0", "v23.0", "v24.0", "v25.0")
FIELDS = ("comments", "live_comments", "mentions", "story_insights", "messages")
_BASIC = "instagram_business_basic"
_INSIGHTS = "instagram_business_manage_insights"
_COMMENTS = "instagram_business_manage_comments"
_BUDGET_PER_VIEW = 4800


def router(sim: Simulation) -> APIRouter:
    routes = APIRouter(prefix="/instagram-graph")
    world = sim.world

    def caller(request: Request, scope: str = _BASIC) -> tuple[Token, Person]:
        token = usable(sim.grants, request.query_params.get("access_token") or wire.bearer(request))
        person = world.person("instagram", token.handle)
        if person is None:
            raise refusal(400, 190, "The user account has been removed", 458)
        demand(token, scope)
        return token, person

    def answer(person: Person, body: Json) -> Response:
        """The body with the usage headers of section 1.6; raises the throttle when used up."""
        views = insights.account_insights(world, person, sim.clock.now(), ("views",))
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

    def post_of(person: Person, media_id: str) -> Post:
        post = world.find_post(person, media_id, sim.clock.now())
        if post is None:
            raise _absent(media_id)
        return post

    def profile(request: Request, person: Person) -> Response:
        given = wire.query(request, {"fields"}, {"access_token"})
        names = wire.listed(given["fields"], "fields", insights.PROFILE_FIELDS)
        everything = insights.profile(world, person, sim.clock.now())
        return answer(person, _selected(everything, names))

    @routes.get("/me")
    async def me(request: Request) -> Response:
        _, person = caller(request)
        return profile(request, person)

    @routes.get("/{version}/me")
    async def versioned_me(version: str, request: Request) -> Response:
        _versioned(version)
        _, person = caller(request)
        return profile(request, person)

    @routes.get("/{version}/{node}")
    async def one(version: str, node: str, request: Request) -> Response:
        _versioned(version)
        _, person = caller(request)
        if node in (person.account_id, person.member_id):
            return profile(request, person)
        post = post_of(person, node)
        given = wire.query(request, (), {"fields", "access_token"})
        names = wire.listed(given.get("fields", "id"), "fields", insights.MEDIA_FIELDS)
        return answer(
            person, _selected(insights.media(world, person, post, sim.clock.now()), names)
        )

    @routes.get("/{version}/{node}/media")
    async def media_list(version: str, node: str, request: Request) -> Response:
        _versioned(version)
        _, person = caller(request)
        _own(person, node)
        now = sim.clock.now()
        given = wire.query(
            request, (), {"fields", "limit", "after", "before", "since", "until", "access_token"}
        )
        names = wire.listed(given.get("fields", "id"), "fields", insights.MEDIA_FIELDS)
        limit = wire.whole(given.get("limit", "25"), "limit", 1, 100)
        since, until = _window(given, now, timedelta(days=36500)) or (None, now)
        posts = [
            p
            for p in world.posts(person, now)
            if p.created_at <= until and (since is None or p.created_at >= since)
        ]

        def item(post: Post) -> Json:
            return _selected(insights.media(world, person, post, now), names)

        return answer(person, _page(posts, given, limit, item))

    @routes.get("/{version}/{node}/insights")
    async def node_insights(version: str, node: str, request: Request) -> Response:
        _versioned(version)
        _, person = caller(request, _INSIGHTS)
        if node in (person.account_id, person.member_id, "me"):
            return answer(person, _account_insights(sim, person, request))
        post = post_of(person, node)
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
        return answer(person, insights.media_insights(world, person, post, now, metrics))

    @routes.get("/{version}/{node}/subscribed_apps")
    async def subscriptions(version: str, node: str, request: Request) -> Response:
        _versioned(version)
        _, person = caller(request)
        _own(person, node)
        wire.query(request, (), {"access_token"})
        fields = sim.kept.instagram_fields.get(person.account_id, [])
        if not fields:
            return answer(person, {"data": []})
        app = sim.settings.instagram_client_id
        return answer(person, {"data": [{"id": app, "subscribed_fields": fields}]})

    @routes.post("/{version}/{node}/subscribed_apps")
    async def subscribe(version: str, node: str, request: Request) -> Response:
        _versioned(version)
        _, person = caller(request, _COMMENTS)
        _own(person, node)
        given = wire.query(request, {"subscribed_fields"}, {"access_token"})
        wanted = wire.listed(given["subscribed_fields"], "subscribed_fields", FIELDS)
        # Fields the app itself does not have are dropped without a word, as Meta does.
        kept = [name for name in wanted if name not in ("messages", "story_insights")]
        sim.kept.instagram_fields[person.account_id] = kept
        sim.keep()
        return answer(person, {"success": True})

    @routes.delete("/{version}/{node}/subscribed_apps")
    async def unsubscribe(version: str, node: str, request: Request) -> Response:
        _versioned(version)
        _, person = caller(request)
        _own(person, node)
        wire.query(request, (), {"access_token"})
        sim.kept.instagram_fields.pop(person.account_id, None)
        sim.keep()
        return answer(person, {"success": True})

    return routes


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
    window = _window(given, now, timedelta(days=30))
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


def _versioned(version: str) -> None:
    if version not in VERSIONS:
        raise not_found(404)


def _own(person: Person, node: str) -> None:
    if node not in (person.account_id, person.member_id, "me"):
        raise _absent(node)


def _absent(node: str) -> wire.Refusal:
    return refusal(
        400,
        100,
        f"Unsupported request. Object with ID '{node}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation.",
        33,
        kind="IGApiException",
    )


def _window(
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


def _selected(everything: Json, names: list[str]) -> Json:
    """The named fields; Graph always adds the id."""
    return {name: everything[name] for name in dict.fromkeys([*names, "id"])}


def _page(
    posts: list[Post], given: dict[str, str], limit: int, item: Callable[[Post], Json]
) -> Json:
    ids = [post.id for post in posts]
    start = 0
    if "after" in given:
        start = _position(ids, given["after"], "after") + 1
    elif "before" in given:
        start = max(0, _position(ids, given["before"], "before") - limit)
    page = posts[start : start + limit]
    body: Json = {"data": [item(post) for post in page]}
    if page:
        cursors = {"before": _cursor(page[0].id), "after": _cursor(page[-1].id)}
        body["paging"] = {"cursors": cursors}
    return body


def _cursor(post_id: str) -> str:
    return base64.urlsafe_b64encode(post_id.encode()).decode()


def _position(ids: list[str], cursor: str, name: str) -> int:
    try:
        return ids.index(base64.urlsafe_b64decode(cursor.encode()).decode())
    except ValueError:
        raise BadParameter(name, "malformed") from None


def _unix(sim: Simulation) -> int:
    return int(sim.clock.now().timestamp())
