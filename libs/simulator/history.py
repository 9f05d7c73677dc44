"""What polling would have answered on each of the past days, from the live endpoints' own code."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta

from libs.simulator.instagram import insights as instagram
from libs.simulator.linkedin import metrics as linkedin
from libs.simulator.people import Person, Post
from libs.simulator.tiktok import metrics as tiktok
from libs.simulator.wire import Json, Platform
from libs.simulator.world import DAY, World
from libs.simulator.x import metrics as x

# Posts are observed daily while they are this young.
_YOUNG = timedelta(days=30)
_NOON = time(12, tzinfo=UTC)


def history(world: World, person: Person, days: int, *, posts_every: int = 1) -> Iterator[Json]:
    """Observations `{observed_at, kind, responses}`, oldest first: noon UTC of each past day.

    Posts are observed on each `posts_every`th day only, yesterday being one of them. The same for
    the same seed, person and day, whenever it is asked for.
    """
    today = world.clock.now().astimezone(UTC).date()
    for back in range(days, 0, -1):
        at = datetime.combine(today - back * DAY, _NOON)
        yield _observation(at, "account", _ACCOUNT[person.platform](world, person, at))
        # LinkedIn lists nobody's personal posts, and describes no member's followers.
        if person.platform == "linkedin" and not person.organisation:
            continue
        observed = world.posts(person, at) if (back - 1) % posts_every == 0 else []
        for post in observed:
            if post.created_at > at - _YOUNG:
                yield _observation(at, "posts", _POST[person.platform](world, person, post, at))
        audience = _AUDIENCE.get(person.platform)
        if audience is not None:
            yield _observation(at, "audience", audience(world, person, at))


def _observation(at: datetime, kind: str, responses: Json) -> Json:
    return {
        "observed_at": at.isoformat().replace("+00:00", "Z"),
        "kind": kind,
        "responses": responses,
    }


def _instagram_account(world: World, person: Person, at: datetime) -> Json:
    return {
        "profile": instagram.profile(world, person, at),
        "insights": instagram.account_insights(world, person, at),
        "profile_views": instagram.account_insights(world, person, at, ("profile_views",)),
    }


def _instagram_post(world: World, person: Person, post: Post, at: datetime) -> Json:
    media = instagram.media(world, person, post, at)
    return {
        "media": {name: media[name] for name in instagram.POLLED_MEDIA},
        "insights": instagram.media_insights(world, person, post, at),
    }


def _instagram_audience(world: World, person: Person, at: datetime) -> Json:
    bodies = {
        name: instagram.demographics(world, person, at, name) for name in instagram.BREAKDOWNS
    }
    return {**bodies, "online_followers": instagram.online_followers(world, person, at)}


def _tiktok_account(world: World, person: Person, at: datetime) -> Json:
    return {
        "user": tiktok.user_info(world, person, at),
        "videos": tiktok.all_pages(world, person, at),
    }


def _tiktok_post(world: World, person: Person, post: Post, at: datetime) -> Json:
    return {"video": tiktok.video(world, person, post, at)}


def _linkedin_account(world: World, person: Person, at: datetime) -> Json:
    if not person.organisation:
        day = [linkedin.last_day(at)]
        queries = linkedin.MEMBER_QUERIES[:5]
        return {
            "member_followers": linkedin.member_followers(world, person, at),
            "member_analytics": {
                query: linkedin.member_analytics(world, person, at, query, day) for query in queries
            },
        }
    newest = [linkedin.post(world, person, post, at) for post in world.posts(person, at)]
    return {
        "network_size": linkedin.network_size(world, person, at),
        "share_statistics": linkedin.share_statistics(world, person, at),
        "page_statistics": linkedin.page_statistics(world, person, at),
        "follower_gains": linkedin.follower_gains(world, person, at),
        "posts": linkedin.page(newest, count=1, total=True),
    }


def _linkedin_post(world: World, person: Person, post: Post, at: datetime) -> Json:
    return {
        "post": linkedin.post(world, person, post, at),
        "statistics": linkedin.post_statistics(world, person, post, at),
    }


def _linkedin_audience(world: World, person: Person, at: datetime) -> Json:
    return {"follower_statistics": linkedin.follower_statistics(world, person, at)}


def _x_account(world: World, person: Person, at: datetime) -> Json:
    return {
        "user": x.user(world, person, at),
        "analytics": x.daily_analytics(world, person, at),
    }


def _x_post(world: World, person: Person, post: Post, at: datetime) -> Json:
    return {"tweet": x.tweet(world, person, post, at)}


_ACCOUNT: dict[Platform, Callable[[World, Person, datetime], Json]] = {
    "instagram": _instagram_account,
    "tiktok": _tiktok_account,
    "linkedin": _linkedin_account,
    "x": _x_account,
}
_POST: dict[Platform, Callable[[World, Person, Post, datetime], Json]] = {
    "instagram": _instagram_post,
    "tiktok": _tiktok_post,
    "linkedin": _linkedin_post,
    "x": _x_post,
}
# TikTok and X tell nothing about the audience.
_AUDIENCE: dict[Platform, Callable[[World, Person, datetime], Json]] = {
    "instagram": _instagram_audience,
    "linkedin": _linkedin_audience,
}
