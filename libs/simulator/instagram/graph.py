"""graph.instagram.com: profile, media and webhook subscriptions, strictly read (1.1, 1.5)."""

import base64
from collections.abc import Callable
from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response

from libs.simulator import wire
from libs.simulator.context import Sim
from libs.simulator.instagram import insights
from libs.simulator.instagram.caller import answer, caller, own, post_of, versioned, window_of
from libs.simulator.people import Person, Post
from libs.simulator.simulation import Simulation
from libs.simulator.wire import BadParameter, Json

FIELDS = ("comments", "live_comments", "mentions", "story_insights", "messages")
_COMMENTS = "instagram_business_manage_comments"

router = APIRouter(prefix="/instagram-graph")


@router.get("/me")
async def me(request: Request, sim: Sim) -> Response:
    _, person = caller(sim, request)
    return _profile(sim, request, person)


@router.get("/{version}/me")
async def versioned_me(version: str, request: Request, sim: Sim) -> Response:
    versioned(version)
    _, person = caller(sim, request)
    return _profile(sim, request, person)


@router.get("/{version}/{node}")
async def one(version: str, node: str, request: Request, sim: Sim) -> Response:
    versioned(version)
    _, person = caller(sim, request)
    if node in (person.account_id, person.member_id):
        return _profile(sim, request, person)
    post = post_of(sim, person, node)
    given = wire.query(request, (), {"fields", "access_token"})
    names = wire.listed(given.get("fields", "id"), "fields", insights.MEDIA_FIELDS)
    return answer(
        sim, person, _selected(insights.media(sim.world, person, post, sim.clock.now()), names)
    )


@router.get("/{version}/{node}/media")
async def media_list(version: str, node: str, request: Request, sim: Sim) -> Response:
    versioned(version)
    _, person = caller(sim, request)
    own(person, node)
    now = sim.clock.now()
    given = wire.query(
        request, (), {"fields", "limit", "after", "before", "since", "until", "access_token"}
    )
    names = wire.listed(given.get("fields", "id"), "fields", insights.MEDIA_FIELDS)
    limit = wire.whole(given.get("limit", "25"), "limit", 1, 100)
    since, until = window_of(given, now, timedelta(days=36500)) or (None, now)
    posts = [
        p
        for p in sim.world.posts(person, now)
        if p.created_at <= until and (since is None or p.created_at >= since)
    ]

    def item(post: Post) -> Json:
        return _selected(insights.media(sim.world, person, post, now), names)

    return answer(sim, person, _page(posts, given, limit, item))


@router.get("/{version}/{node}/subscribed_apps")
async def subscriptions(version: str, node: str, request: Request, sim: Sim) -> Response:
    versioned(version)
    _, person = caller(sim, request)
    own(person, node)
    wire.query(request, (), {"access_token"})
    fields = sim.kept.instagram_fields.get(person.account_id, [])
    if not fields:
        return answer(sim, person, {"data": []})
    app = sim.settings.instagram_client_id
    return answer(sim, person, {"data": [{"id": app, "subscribed_fields": fields}]})


@router.post("/{version}/{node}/subscribed_apps")
async def subscribe(version: str, node: str, request: Request, sim: Sim) -> Response:
    versioned(version)
    _, person = caller(sim, request, _COMMENTS)
    own(person, node)
    given = wire.query(request, {"subscribed_fields"}, {"access_token"})
    wanted = wire.listed(given["subscribed_fields"], "subscribed_fields", FIELDS)
    # Fields the app itself does not have are dropped without a word, as Meta does.
    kept = [name for name in wanted if name not in ("messages", "story_insights")]
    sim.kept.instagram_fields[person.account_id] = kept
    sim.keep()
    return answer(sim, person, {"success": True})


@router.delete("/{version}/{node}/subscribed_apps")
async def unsubscribe(version: str, node: str, request: Request, sim: Sim) -> Response:
    versioned(version)
    _, person = caller(sim, request)
    own(person, node)
    wire.query(request, (), {"access_token"})
    sim.kept.instagram_fields.pop(person.account_id, None)
    sim.keep()
    return answer(sim, person, {"success": True})


def _profile(sim: Simulation, request: Request, person: Person) -> Response:
    given = wire.query(request, {"fields"}, {"access_token"})
    names = wire.listed(given["fields"], "fields", insights.PROFILE_FIELDS)
    everything = insights.profile(sim.world, person, sim.clock.now())
    return answer(sim, person, _selected(everything, names))


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
