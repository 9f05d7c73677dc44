"""What LinkedIn's read endpoints answer about a page or a member at a moment (section 3.5). Pure."""

from datetime import UTC, date, datetime, time, timedelta

from libs.simulator.curves import fraction, shares_of
from libs.simulator.people import Person, Post
from libs.simulator.wire import Json
from libs.simulator.world import DAY, Numbers, World

Window = tuple[datetime, datetime]
MEMBER_QUERIES = (
    "IMPRESSION", "MEMBERS_REACHED", "REACTION", "COMMENT", "RESHARE", "POST_SAVE",
)  # fmt: skip


def organisation_urn(person: Person) -> str:
    return f"urn:li:organization:{person.account_id}"


def member_urn(person: Person) -> str:
    return f"urn:li:person:{person.member_id}"


def last_day(at: datetime) -> Window:
    """The last whole UTC day before `at`."""
    end = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
    return end - DAY, end


def days(window: Window) -> list[Window]:
    """The window cut into UTC days; a day cut short by the window counts whole."""
    first: date = window[0].astimezone(UTC).date()
    starts = []
    while datetime.combine(first, time(), UTC) < window[1]:
        starts.append(datetime.combine(first, time(), UTC))
        first += timedelta(days=1)
    return [(start, start + DAY) for start in starts]


def network_size(world: World, person: Person, at: datetime) -> Json:
    return {"firstDegreeSize": world.followers(person, at)}


def follower_statistics(world: World, person: Person, at: datetime) -> Json:
    """Lifetime followers by facet; no age, no gender."""
    total = world.followers(person, at)
    element: Json = {"organizationalEntity": organisation_urn(person)}
    for facet, (key, prefix, weights) in _FACETS.items():
        varied = {
            name: weight * (0.8 + 0.4 * fraction(world.seed, person.handle, facet, name))
            for name, weight in weights.items()
        }
        element[facet] = [
            {key: f"{prefix}{name}", "followerCounts": _counts(value)}
            for name, value in shares_of(total, varied).items()
        ]
    return _elements([element])


def follower_gains(
    world: World, person: Person, at: datetime, window: Window | None = None
) -> Json:
    """Followers won per day of the window, by default the last whole day."""
    elements = []
    for start, end in days(window or last_day(at)):
        until = min(end, at)
        net = world.followers(person, until) - world.followers(person, min(start, at))
        elements.append(
            {
                "timeRange": _range(start, end),
                "followerGains": {"organicFollowerGain": net, "paidFollowerGain": 0},
                "organizationalEntity": organisation_urn(person),
            }
        )
    return _elements(elements)


def share_statistics(
    world: World, person: Person, at: datetime, window: Window | None = None
) -> Json:
    """Totals of the page's posts per day of the window, by default the last whole day."""
    elements = []
    for start, end in days(window or last_day(at)):
        gain = world.gained(person, min(start, at), min(end, at))
        elements.append(
            {
                "timeRange": _range(start, end),
                "totalShareStatistics": _share(gain),
                "organizationalEntity": organisation_urn(person),
            }
        )
    return _elements(elements)


def lifetime_share_statistics(world: World, person: Person, at: datetime) -> Json:
    """Totals of the page's posts of the last twelve months."""
    whole = Numbers()
    for post in world.posts(person, at):
        if post.created_at > at - timedelta(days=365):
            whole += world.numbers(person, post, at)
    return _elements(
        [{"totalShareStatistics": _share(whole), "organizationalEntity": organisation_urn(person)}]
    )


def post_statistics(world: World, person: Person, post: Post, at: datetime) -> Json:
    """One element of shareStatistics asked with shares=List(...)."""
    return {
        "totalShareStatistics": _share(world.numbers(person, post, at)),
        "share": post.id,
        "organizationalEntity": organisation_urn(person),
    }


def page_statistics(
    world: World, person: Person, at: datetime, window: Window | None = None
) -> Json:
    """Views of the page per day of the window, by default the last whole day."""
    elements = []
    for start, end in days(window or last_day(at)):
        visits = world.gained(person, min(start, at), min(end, at)).profile_visits
        elements.append(
            {
                "timeRange": _range(start, end),
                "totalPageStatistics": {"views": _page_views(visits)},
                "organization": organisation_urn(person),
            }
        )
    return _elements(elements)


def post(world: World, person: Person, made: Post, at: datetime) -> Json:
    """One element of posts?q=author."""
    moment = int(made.created_at.timestamp() * 1000)
    body: Json = {
        "id": made.id,
        "author": organisation_urn(person),
        "commentary": made.caption,
        "createdAt": moment,
        "publishedAt": moment,
        "lastModifiedAt": moment,
        "lifecycleState": "PUBLISHED",
        "visibility": "PUBLIC",
        "isReshareDisabledByAuthor": False,
        "distribution": {
            "feedDistribution": "MAIN_FEED",
            "targetEntities": [],
            "thirdPartyDistributionChannels": [],
        },
    }
    number = made.id.rpartition(":")[2]
    if made.kind == "photo":
        body["content"] = {"media": {"id": f"urn:li:image:{number}"}}
    elif made.kind == "video":
        body["content"] = {"media": {"id": f"urn:li:video:{number}"}}
    return body


def page(found: list[Json], *, start: int = 0, count: int = 10, total: bool = False) -> Json:
    """Part of a list of elements, with Rest.li's paging block; `total` tells how many there are."""
    paging: Json = {"start": start, "count": count, "links": []}
    if total:
        paging["total"] = len(found)
    return {"paging": paging, "elements": found[start : start + count]}


def acls(people: list[Person]) -> list[Json]:
    """The roles a member holds, one element per organisation."""
    return [
        {
            "organization": organisation_urn(person),
            "role": person.role,
            "roleAssignee": member_urn(person),
            "state": "APPROVED",
        }
        for person in people
        if person.organisation
    ]


def organisation(person: Person) -> Json:
    return {
        "id": int(person.account_id),
        "localizedName": person.name,
        "vanityName": person.handle,
        "localizedWebsite": "https://example.com/",
        "primaryOrganizationType": "NONE",
        "logoV2": {"original": f"urn:li:digitalmediaAsset:{person.account_id}"},
    }


def userinfo(person: Person, scopes: tuple[str, ...]) -> Json:
    """OpenID claims of the member, by granted scope."""
    body: Json = {"sub": person.member_id}
    if "profile" in scopes:
        first, _, last = person.name.partition(" ")
        body |= {
            "name": person.name,
            "given_name": first,
            "family_name": last,
            "picture": f"https://cdn.example.com/li/{person.member_id}.jpg",
            "locale": {"country": "GB", "language": "en"},
        }
    if "email" in scopes:
        body |= {"email": f"{person.handle}@example.com", "email_verified": True}
    return body


def member_followers(world: World, person: Person, at: datetime) -> Json:
    return _elements([{"memberFollowersCount": world.followers(person, at)}])


def member_analytics(
    world: World, person: Person, at: datetime, query: str, windows: list[Window] | None
) -> Json:
    """Sums over all the member's posts: one element, or one per window."""
    elements: list[Json] = []
    if windows is None:
        elements.append({"count": _member_count(world.total(person, at), query)})
    for start, end in windows or []:
        gain = world.gained(person, min(start, at), min(end, at))
        elements.append({"count": _member_count(gain, query), "dateRange": _dates(start, end)})
    for element in elements:
        element["metricType"] = query
    return _elements(elements)


def _member_count(n: Numbers, query: str) -> int:
    return {
        "IMPRESSION": n.views,
        "MEMBERS_REACHED": n.reach,
        "REACTION": n.likes,
        "COMMENT": n.comments,
        "RESHARE": n.shares,
        "POST_SAVE": n.saves,
    }[query]


def _share(n: Numbers) -> Json:
    acted = n.clicks + n.likes + n.comments + n.shares
    return {
        "uniqueImpressionsCount": n.reach,
        "impressionCount": n.views,
        "clickCount": n.clicks,
        "likeCount": n.likes,
        "commentCount": n.comments,
        "shareCount": n.shares,
        "engagement": acted / n.views if n.views else 0.0,
    }


def _page_views(visits: int) -> Json:
    mobile = visits * 2 // 5
    return {
        "allPageViews": {"pageViews": visits, "uniquePageViews": visits * 4 // 5},
        "allDesktopPageViews": {"pageViews": visits - mobile},
        "allMobilePageViews": {"pageViews": mobile},
    }


def _counts(value: int) -> Json:
    return {"organicFollowerCount": value, "paidFollowerCount": 0}


def _range(start: datetime, end: datetime) -> Json:
    return {"start": int(start.timestamp() * 1000), "end": int(end.timestamp() * 1000)}


def _dates(start: datetime, end: datetime) -> Json:
    return {
        edge: {"year": moment.year, "month": moment.month, "day": moment.day}
        for edge, moment in (("start", start), ("end", end))
    }


def _elements(elements: list[Json]) -> Json:
    paging = {"start": 0, "count": max(10, len(elements)), "links": []}
    return {"paging": paging, "elements": elements}


# Facet -> (key, URN prefix, weight per id).
_FACETS: dict[str, tuple[str, str, dict[str, float]]] = {
    "followerCountsByGeoCountry": ("geo", "urn:li:geo:", {
        "101165590": 24, "103644278": 20, "101282230": 14, "102713980": 10, "105015875": 8,
        "102890719": 7, "105646813": 6, "106057199": 6, "105072130": 5}),
    "followerCountsByGeo": ("geo", "urn:li:geo:", {
        "90009496": 18, "90000070": 12, "106967730": 11, "90009659": 9, "90010383": 6}),
    "followerCountsByFunction": ("function", "urn:li:function:", {
        "4": 14, "8": 22, "12": 9, "15": 19, "25": 16, "13": 10}),
    "followerCountsByIndustry": ("industry", "urn:li:industry:", {
        "4": 20, "6": 15, "11": 12, "80": 24, "96": 18}),
    "followerCountsBySeniority": ("seniority", "urn:li:seniority:", {
        "3": 26, "4": 34, "5": 15, "6": 12, "7": 6, "8": 4, "9": 3}),
    "followerCountsByStaffCountRange": ("staffCountRange", "", {
        "SIZE_1": 4, "SIZE_2_TO_10": 21, "SIZE_11_TO_50": 27, "SIZE_51_TO_200": 19,
        "SIZE_201_TO_500": 11, "SIZE_1001_TO_5000": 10}),
}  # fmt: skip
