"""What Instagram's read endpoints answer about a person at a moment (section 1.5). Pure."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from libs.simulator.curves import digest, fraction, shares_of
from libs.simulator.people import Person, Post
from libs.simulator.wire import Json
from libs.simulator.world import DAY, Numbers, World

# Insights count days from midnight to midnight there.
PACIFIC = ZoneInfo("America/Los_Angeles")
FEW = 100

PROFILE_FIELDS = (
    "id", "user_id", "username", "name", "account_type", "biography", "website",
    "profile_picture_url", "followers_count", "follows_count", "media_count",
)  # fmt: skip
MEDIA_FIELDS = (
    "id", "caption", "media_type", "media_product_type", "media_url", "permalink", "timestamp",
    "username", "like_count", "comments_count",
)  # fmt: skip
POLLED_MEDIA = (
    "id", "caption", "media_type", "media_product_type", "permalink", "timestamp", "like_count",
    "comments_count",
)  # fmt: skip
TOTALS = (
    "reach", "views", "accounts_engaged", "total_interactions", "likes", "comments", "shares",
    "saves", "replies", "profile_links_taps", "follows_and_unfollows", "profile_views",
)  # fmt: skip
SERIES = ("reach", "follower_count")
POLLED = TOTALS[:10]
BREAKDOWNS = ("age", "gender", "country", "city")
_MEDIA_COMMON = ("views", "reach", "likes", "comments", "saved", "shares", "total_interactions")
_MEDIA_EXTRA = {
    "FEED": ("profile_visits", "follows"),
    "REELS": ("ig_reels_avg_watch_time", "ig_reels_video_view_total_time"),
}


def profile(world: World, person: Person, at: datetime) -> Json:
    """Every field of GET /me; the route selects."""
    return {
        "id": person.member_id,
        "user_id": person.account_id,
        "username": person.handle,
        "name": person.name,
        "account_type": "BUSINESS",
        "biography": f"{person.name} on the simulated Instagram",
        "website": "https://example.com/",
        "profile_picture_url": f"https://cdn.example.com/ig/{person.account_id}.jpg",
        "followers_count": world.followers(person, at),
        "follows_count": person.following,
        "media_count": world.posts_count(person, at),
    }


def last_day(at: datetime) -> tuple[datetime, datetime]:
    """The last whole day that ended at midnight US Pacific by `at`, as UTC moments."""
    today = at.astimezone(PACIFIC).date()
    end = datetime.combine(today, time(), PACIFIC)
    start = datetime.combine(today - timedelta(days=1), time(), PACIFIC)
    return start.astimezone(UTC), end.astimezone(UTC)


def account_insights(
    world: World,
    person: Person,
    at: datetime,
    metrics: tuple[str, ...] = POLLED,
    window: tuple[datetime, datetime] | None = None,
) -> Json:
    """total_value insights of a window, by default the last whole day."""
    since, until = window or last_day(at)
    gain = world.gained(person, since, min(until, at))
    values = _account_values(world, person, gain, since, until)
    data = []
    for name in metrics:
        total: Json = {"value": values[name]}
        if name == "follows_and_unfollows":
            total = {"breakdowns": [_follow_types(world, person, since, until)]}
        data.append(_metric(person.account_id, name, "day", {"total_value": total}))
    return {"data": data}


def account_series(
    world: World,
    person: Person,
    at: datetime,
    metrics: tuple[str, ...],
    window: tuple[datetime, datetime] | None = None,
) -> Json:
    """time_series insights, one value per whole Pacific day inside the window."""
    since, until = window or last_day(at)
    data = []
    for name in metrics:
        values = []
        start, end = last_day(min(until, at))
        while start >= since:
            if name == "reach":
                value = world.gained(person, start, end).reach
            else:
                value = _won(world, person, start, end)
            values.append({"value": value, "end_time": _stamp(end)})
            start, end = last_day(start)
        if name == "follower_count" and world.followers(person, at) < FEW:
            continue
        data.append(_metric(person.account_id, name, "day", {"values": values[::-1]}))
    return {"data": data}


def demographics(world: World, person: Person, at: datetime, breakdown: str) -> Json:
    """follower_demographics of one breakdown; empty below 100 followers; absolute counts."""
    followers = world.followers(person, at)
    if followers < FEW:
        return {"data": []}
    # Not every follower's age, sex and town are known.
    known = int(followers * 0.93)
    weights = {
        name: weight * (0.8 + 0.4 * fraction(world.seed, person.handle, breakdown, name))
        for name, weight in _WEIGHTS[breakdown].items()
    }
    results = [
        {"dimension_values": [name], "value": value}
        for name, value in list(shares_of(known, weights).items())[:45]
    ]
    total = {"breakdowns": [{"dimension_keys": [breakdown], "results": results}]}
    metric = _metric(person.account_id, "follower_demographics", "lifetime", {"total_value": total})
    return {"data": [metric]}


def online_followers(world: World, person: Person, at: datetime) -> Json:
    """Followers online by hour of the last whole day; empty below 100 followers."""
    followers = world.followers(person, at)
    if followers < FEW:
        return {"data": []}
    _, end = last_day(at)
    hours = {}
    for hour in range(24):
        awake = 0.12 if hour < 7 else 0.25 + 0.2 * (1 - abs(hour - 20) / 13)
        awake *= 0.9 + 0.2 * fraction(world.seed, person.handle, end.date(), hour)
        hours[str(hour)] = int(followers * awake)
    values = [{"value": hours, "end_time": _stamp(end)}]
    return {
        "data": [_metric(person.account_id, "online_followers", "lifetime", {"values": values})]
    }


def media(world: World, person: Person, post: Post, at: datetime) -> Json:
    """Every field of one media object; the route selects."""
    numbers = world.numbers(person, post, at)
    kind = {"video": "VIDEO", "carousel": "CAROUSEL_ALBUM"}.get(post.kind, "IMAGE")
    short = f"{digest(post.id) % 10**10:010d}"
    path = "reel" if post.kind == "video" else "p"
    return {
        "id": post.id,
        "caption": post.caption,
        "media_type": kind,
        "media_product_type": product(post),
        "media_url": f"https://cdn.example.com/ig/{post.id}",
        "permalink": f"https://www.instagram.com/{path}/{short}/",
        "timestamp": _stamp(post.created_at),
        "username": person.handle,
        "like_count": numbers.likes,
        "comments_count": numbers.comments,
    }


def product(post: Post) -> str:
    return "REELS" if post.kind == "video" else "FEED"


def media_metrics(post: Post) -> tuple[str, ...]:
    """The metrics this kind of media supports; one other fails the whole call."""
    return _MEDIA_COMMON + _MEDIA_EXTRA[product(post)]


def media_insights(
    world: World,
    person: Person,
    post: Post,
    at: datetime,
    metrics: tuple[str, ...] = _MEDIA_COMMON,
) -> Json:
    """Lifetime insights of one media object."""
    n = world.numbers(person, post, at)
    values = {
        "views": n.views,
        "reach": n.reach,
        "likes": n.likes,
        "comments": n.comments,
        "saved": n.saves,
        "shares": n.shares,
        "total_interactions": n.interactions,
        "profile_visits": n.profile_visits,
        "follows": n.profile_visits // 12,
        "ig_reels_avg_watch_time": 4000 + digest(post.id) % 6000,
        "ig_reels_video_view_total_time": n.views * (4000 + digest(post.id) % 6000),
    }
    return {
        "data": [
            _metric(post.id, name, "lifetime", {"values": [{"value": values[name]}]})
            for name in metrics
        ]
    }


def _account_values(
    world: World, person: Person, gain: Numbers, since: datetime, until: datetime
) -> dict[str, int]:
    return {
        "reach": gain.reach,
        "views": gain.views,
        "accounts_engaged": int(gain.interactions * 0.85),
        "total_interactions": gain.interactions,
        "likes": gain.likes,
        "comments": gain.comments,
        "shares": gain.shares,
        "saves": gain.saves,
        "replies": gain.comments // 5,
        "profile_links_taps": gain.profile_visits // 9,
        "profile_views": gain.profile_visits,
        "follows_and_unfollows": _won(world, person, since, until),
    }


def _won(world: World, person: Person, since: datetime, until: datetime) -> int:
    """New followers of a window; those who left are not taken off."""
    net = world.followers(person, until) - world.followers(person, since)
    churn = person.followers * 0.0008 * ((until - since) / DAY)
    return max(0, net) + int(churn)


def _follow_types(world: World, person: Person, since: datetime, until: datetime) -> Json:
    won = _won(world, person, since, until)
    net = world.followers(person, until) - world.followers(person, since)
    results = [
        {"dimension_values": ["FOLLOWER"], "value": won},
        {"dimension_values": ["NON_FOLLOWER"], "value": max(0, won - net)},
    ]
    return {"dimension_keys": ["follow_type"], "results": results}


def _metric(owner: str, name: str, period: str, value: Json) -> Json:
    title = name.replace("_", " ").capitalize()
    return {
        "name": name,
        "period": period,
        "title": title,
        "description": f"{title} of this object.",
        "id": f"{owner}/insights/{name}/{period}",
        **value,
    }


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


_WEIGHTS: dict[str, dict[str, float]] = {
    "age": {"13-17": 3, "18-24": 24, "25-34": 36, "35-44": 20, "45-54": 10, "55-64": 5, "65+": 2},
    "gender": {"F": 54, "M": 41, "U": 5},
    "country": {"GB": 22, "US": 18, "DE": 14, "BR": 10, "FR": 9, "ES": 7, "IT": 6, "NL": 5,
                "IN": 5, "PL": 4},
    "city": {"London, England": 12, "Berlin, Berlin": 9, "São Paulo, São Paulo (state)": 7,
             "New York, New York": 6, "Paris, Île-de-France": 6, "Madrid, Comunidad de Madrid": 5,
             "Amsterdam, North Holland": 4, "Manchester, England": 4, "Milan, Lombardia": 3,
             "Warsaw, Masovian Voivodeship": 3},
}  # fmt: skip
