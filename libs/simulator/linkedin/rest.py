"""api.linkedin.com: pages, their posts and statistics, and the member's own, strictly read."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from libs.simulator import wire
from libs.simulator.context import Sim
from libs.simulator.linkedin import metrics, restli
from libs.simulator.linkedin.caller import bare_caller, caller
from libs.simulator.linkedin.refusals import denied, refusal
from libs.simulator.wire import BadParameter, Json

_ADMIN = ("rw_organization_admin",)
_SOCIAL = ("r_organization_social",)


router = APIRouter(prefix="/linkedin-api")


@router.get("/v2/userinfo")
async def userinfo(request: Request, sim: Sim) -> Response:
    who = bare_caller(sim, request)
    wire.query(request)
    who.demand("openid")
    return JSONResponse(metrics.userinfo(who.person, who.scopes))


@router.get("/rest/organizationAcls")
async def acls(request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "organizationAcls")
    given = restli.query(request, ("q",), ("role", "state", "start", "count"))
    _finder(given["q"], "roleAssignee")
    who.demand(*_ADMIN)
    found = [
        one
        for one in metrics.acls([who.person])
        if one["role"] == given.get("role", one["role"])
        and one["state"] == given.get("state", one["state"])
    ]
    return JSONResponse(_page(found, given))


@router.get("/rest/organizations/{number}")
async def organisation(number: str, request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "organizations")
    restli.query(request, (), ("projection", "fields"))
    who.demand(*_ADMIN)
    if not who.person.organisation or number != who.person.account_id:
        raise denied(f"organization {number}")
    return JSONResponse(metrics.organisation(who.person))


@router.get("/rest/networkSizes/{urn}")
async def network_size(request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "networkSizes")
    given = restli.query(request, ("edgeType",))
    if given["edgeType"] != "COMPANY_FOLLOWED_BY_MEMBER":
        raise BadParameter("edgeType", "malformed")
    organisation_id = restli.urn(restli.path_value(request, "urn"), "urn", "organization")
    who.demand(*_ADMIN, *_SOCIAL)
    if not who.person.organisation or organisation_id != who.person.account_id:
        raise refusal(404, "NOT_FOUND", "Entity was not found")
    return JSONResponse(metrics.network_size(sim.world, who.person, sim.clock.now()))


@router.get("/rest/organizationalEntityFollowerStatistics")
async def follower_statistics(request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "followerStatistics")
    given = restli.query(request, ("q", "organizationalEntity"), ("timeIntervals",))
    _finder(given["q"], "organizationalEntity")
    who.demand(*_ADMIN)
    who.administer(given["organizationalEntity"], "organizationalEntity")
    window = restli.intervals(given.get("timeIntervals"))
    now = sim.clock.now()
    if window is None:
        return JSONResponse(metrics.follower_statistics(sim.world, who.person, now))
    return JSONResponse(metrics.follower_gains(sim.world, who.person, now, window))


@router.get("/rest/organizationalEntityShareStatistics")
async def share_statistics(request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "shareStatistics")
    given = restli.query(
        request, ("q", "organizationalEntity"), ("timeIntervals", "shares", "ugcPosts")
    )
    _finder(given["q"], "organizationalEntity")
    who.demand(*_ADMIN)
    who.administer(given["organizationalEntity"], "organizationalEntity")
    window = restli.intervals(given.get("timeIntervals"))
    now = sim.clock.now()
    if "shares" in given or "ugcPosts" in given:
        if window is not None:
            raise BadParameter("timeIntervals", "unknown")
        wanted = [
            urn
            for name, kind in (("shares", "share"), ("ugcPosts", "ugcPost"))
            if name in given
            for urn in _urns(given[name], name, kind)
        ]
        posts = [p for p in sim.world.posts(who.person, now) if p.id in wanted]
        found = [metrics.post_statistics(sim.world, who.person, p, now) for p in posts]
        return JSONResponse(_page(found, {"count": str(max(10, len(found)))}))
    if window is None:
        return JSONResponse(metrics.lifetime_share_statistics(sim.world, who.person, now))
    return JSONResponse(metrics.share_statistics(sim.world, who.person, now, window))


@router.get("/rest/organizationPageStatistics")
async def page_statistics(request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "pageStatistics")
    given = restli.query(request, ("q", "organization"), ("timeIntervals",))
    _finder(given["q"], "organization")
    who.demand(*_ADMIN)
    who.administer(given["organization"], "organization")
    window = restli.intervals(given.get("timeIntervals"))
    now = sim.clock.now()
    if window is None:
        window = (who.person.anchor, now)
        whole = metrics.page_statistics(sim.world, who.person, now, window)
        return JSONResponse(_lifetime_views(whole))
    return JSONResponse(metrics.page_statistics(sim.world, who.person, now, window))


@router.get("/rest/posts")
async def posts(request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "posts")
    given = restli.query(
        request, ("q", "author"), ("count", "start", "sortBy", "isDsc", "viewContext")
    )
    _finder(given["q"], "author")
    if restli.plain(given["author"]).startswith("urn:li:person:"):
        raise denied("posts of members")
    who.demand(*_SOCIAL)
    who.administer(given["author"], "author")
    now = sim.clock.now()
    found = [metrics.post(sim.world, who.person, p, now) for p in sim.world.posts(who.person, now)]
    return JSONResponse(_page(found, given, total=True))


@router.get("/rest/memberFollowersCount")
async def member_followers(request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "memberFollowersCount")
    given = restli.query(request, ("q",))
    _finder(given["q"], "me")
    who.demand("r_member_profileAnalytics")
    return JSONResponse(metrics.member_followers(sim.world, who.person, sim.clock.now()))


@router.get("/rest/memberCreatorPostAnalytics")
async def member_analytics(request: Request, sim: Sim) -> Response:
    who = caller(sim, request, "memberCreatorPostAnalytics")
    given = restli.query(request, ("q", "queryType"), ("aggregation", "dateRange"))
    _finder(given["q"], "me")
    who.demand("r_member_postAnalytics")
    if given["queryType"] not in metrics.MEMBER_QUERIES:
        raise BadParameter("queryType", "malformed")
    aggregation = given.get("aggregation", "TOTAL")
    window = restli.dates(given.get("dateRange"))
    daily = aggregation == "DAILY"
    if aggregation not in ("TOTAL", "DAILY") or (daily and window is None):
        raise BadParameter("aggregation", "malformed")
    windows = None if window is None else metrics.days(window) if daily else [window]
    now = sim.clock.now()
    return JSONResponse(
        metrics.member_analytics(sim.world, who.person, now, given["queryType"], windows)
    )


def _finder(given: str, wanted: str) -> None:
    if given != wanted:
        raise BadParameter("q", "malformed")


def _urns(raw: str, name: str, kind: str) -> list[str]:
    entries = restli.items(raw, name)
    for entry in entries:
        restli.urn(entry, name, kind)
    return entries


def _page(found: list[Json], given: dict[str, str], *, total: bool = False) -> Json:
    start = wire.whole(given.get("start", "0"), "start", 0, 1_000_000)
    count = wire.whole(given.get("count", "10"), "count", 1, 100)
    return metrics.page(found, start=start, count=count, total=total)


def _lifetime_views(daily: Json) -> Json:
    """The daily elements of page statistics summed into one without a time range."""
    first = daily["elements"][0]
    views: Json = {}
    for element in daily["elements"]:
        for kind, counts in element["totalPageStatistics"]["views"].items():
            for name, value in counts.items():
                place = views.setdefault(kind, {})
                place[name] = place.get(name, 0) + value
    element = {"totalPageStatistics": {"views": views}, "organization": first["organization"]}
    return {"paging": {"start": 0, "count": 10, "links": []}, "elements": [element]}
