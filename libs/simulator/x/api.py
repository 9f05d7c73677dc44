"""api.x.com: the user, their posts and analytics, strictly read (sections 4.5 and 4.6)."""

import re
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import wire
from libs.simulator.context import Sim
from libs.simulator.grants import Token
from libs.simulator.people import Person, Post
from libs.simulator.simulation import Simulation
from libs.simulator.wire import BadParameter, Json
from libs.simulator.x import metrics
from libs.simulator.x.refusals import demand, throttled, unauthorized, usable

_QUARTER = 900
_READ = ("tweet.read", "users.read")
_ID = re.compile(r"[0-9]{1,19}")


router = APIRouter(prefix="/x-api/2")


def _caller(
    sim: Simulation, request: Request, endpoint: str, own: int
) -> tuple[Token, Person, dict[str, str]]:
    """Who calls, and the rate-limit headers every reply carries. Raises 401, 403, 429."""
    token = usable(sim.grants, wire.bearer(request))
    person = sim.world.person("x", token.handle)
    if person is None:
        raise unauthorized()
    standing = sim.limits.fixed(f"x.{endpoint}", person.account_id, own, _QUARTER)
    headers = {
        "x-rate-limit-limit": str(standing.limit),
        "x-rate-limit-remaining": str(standing.remaining),
        "x-rate-limit-reset": str(standing.reset),
    }
    request.state.headers = headers
    if not standing.allowed:
        raise throttled(headers)
    demand(token, *_READ)
    return token, person, headers


@router.get("/users/me")
async def me(request: Request, sim: Sim) -> Response:
    _, person, headers = _caller(sim, request, "users.me", 75)
    given = wire.query(request, (), {"user.fields", "expansions", "tweet.fields"})
    names = _fields(given, "user.fields", metrics.USER_FIELDS)
    return JSONResponse(metrics.user(sim.world, person, sim.clock.now(), names), headers=headers)


@router.get("/users/{user_id}/tweets")
async def user_tweets(user_id: str, request: Request, sim: Sim) -> Response:
    _, person, headers = _caller(sim, request, "users.tweets", 900)
    given = wire.query(
        request,
        (),
        {
            "max_results", "pagination_token", "tweet.fields", "start_time", "end_time",
            "since_id", "until_id", "exclude",
        },
    )  # fmt: skip
    if not _ID.fullmatch(user_id):
        raise BadParameter("id", "malformed")
    if user_id != person.account_id:
        absent = {"errors": [_missing("user", "id", user_id)]}
        return JSONResponse(absent, headers=headers)
    now = sim.clock.now()
    names = _fields(given, "tweet.fields", metrics.TWEET_FIELDS)
    size = wire.whole(given.get("max_results", "10"), "max_results", 5, 100)
    posts = _between(sim.world.posts(person, now), given, now)
    start = _offset(posts, given.get("pagination_token"))
    page = posts[start : start + size]
    body: Json = {"meta": {"result_count": len(page)}}
    if page:
        body = {"data": [metrics.tweet(sim.world, person, p, now, names) for p in page], **body}
        body["meta"] |= {"newest_id": page[0].id, "oldest_id": page[-1].id}
    if start + size < len(posts):
        body["meta"]["next_token"] = _token(page[-1])
    return JSONResponse(body, headers=headers)


@router.get("/tweets")
async def tweets(request: Request, sim: Sim) -> Response:
    _, person, headers = _caller(sim, request, "tweets", 900)
    given = wire.query(request, {"ids"}, {"tweet.fields", "expansions"})
    now = sim.clock.now()
    names = _fields(given, "tweet.fields", metrics.TWEET_FIELDS)
    posts, errors = _wanted(sim.world.posts(person, now), given["ids"])
    if "non_public_metrics" in names:
        old = [p for p in posts if now - p.created_at > metrics.PRIVATE]
        posts = [p for p in posts if p not in old]
        errors += [_not_private(post) for post in old]
    body: Json = {}
    if posts:
        body["data"] = [metrics.tweet(sim.world, person, p, now, names) for p in posts]
    if errors:
        body["errors"] = errors
    return JSONResponse(body, headers=headers)


@router.get("/tweets/analytics")
async def analytics(request: Request, sim: Sim) -> Response:
    _, person, headers = _caller(sim, request, "tweets.analytics", 300)
    given = wire.query(
        request, {"ids", "start_time", "end_time", "granularity", "analytics.fields"}
    )
    granularity = given["granularity"]
    if granularity not in (*metrics.STEPS, "total"):
        raise BadParameter("granularity", "malformed")
    names = wire.listed(given["analytics.fields"], "analytics.fields", metrics.ANALYTICS)
    since, until = _moment(given, "start_time"), _moment(given, "end_time")
    if not since < until <= since + timedelta(days=366):
        raise BadParameter("end_time", "malformed")
    now = sim.clock.now()
    posts, errors = _wanted(sim.world.posts(person, now), given["ids"])
    window = (since, min(until, now))
    body = metrics.analytics(
        sim.world, person, posts, window=window, granularity=granularity, names=names
    )
    if errors:
        body["errors"] = errors
    return JSONResponse(body, headers=headers)


def _fields(given: dict[str, str], name: str, allowed: tuple[str, ...]) -> list[str]:
    return wire.listed(given[name], name, allowed) if name in given else []


def _wanted(posts: list[Post], raw: str) -> tuple[list[Post], list[Json]]:
    """The caller's posts among the ids, and a partial error for every other id."""
    ids = raw.split(",")
    if len(ids) > 100 or not all(_ID.fullmatch(one) for one in ids):
        raise BadParameter("ids", "malformed")
    own = {post.id: post for post in posts}
    found = [own[one] for one in ids if one in own]
    return found, [_missing("tweet", "ids", one) for one in ids if one not in own]


def _missing(kind: str, parameter: str, value: str) -> Json:
    return {
        "value": value,
        "detail": f"Could not find {kind} with {parameter}: [{value}].",
        "title": "Not Found Error",
        "resource_type": kind,
        "parameter": parameter,
        "resource_id": value,
        "type": "https://api.x.com/2/problems/resource-not-found",
    }


def _not_private(post: Post) -> Json:
    return {
        "value": post.id,
        "detail": "Private metrics are given for posts of the last 30 days.",
        "title": "Field Authorization Error",
        "resource_type": "tweet",
        "parameter": "ids",
        "resource_id": post.id,
        "section": "data",
        "field": "non_public_metrics",
        "type": "https://api.x.com/2/problems/not-authorized-for-field",
    }


def _between(posts: list[Post], given: dict[str, str], now: datetime) -> list[Post]:
    if "exclude" in given:
        wire.listed(given["exclude"], "exclude", ("replies", "retweets"))
    for name in ("since_id", "until_id"):
        if name in given and not _ID.fullmatch(given[name]):
            raise BadParameter(name, "malformed")
    start = _moment(given, "start_time") if "start_time" in given else None
    end = _moment(given, "end_time") if "end_time" in given else now
    since, until = int(given.get("since_id", "0")), int(given.get("until_id", str(2**63)))
    return [
        post
        for post in posts
        if (start is None or post.created_at >= start)
        and post.created_at <= end
        and since < int(post.id) < until
    ]


def _token(post: Post) -> str:
    return f"7140{int(post.id):x}"


def _offset(posts: list[Post], token: str | None) -> int:
    if token is None:
        return 0
    for index, post in enumerate(posts):
        if _token(post) == token:
            return index + 1
    raise BadParameter("pagination_token", "malformed")


def _moment(given: dict[str, str], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given[name])
    except ValueError:
        raise BadParameter(name, "malformed") from None
    if moment.tzinfo is None:
        raise BadParameter(name, "malformed")
    return moment.astimezone(UTC)
