"""Reading LinkedIn's numbers: an organisation's account, posts and audience; a member's account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from libs.platforms.base import Observation, PollPage
from libs.platforms.linkedin import rest
from libs.platforms.polling import FOLLOWED, Round
from libs.platforms.shapes import dig, identifier, mappings, unix_time

_POSTS = 20
_MEMBER_QUERIES = ("IMPRESSION", "MEMBERS_REACHED", "REACTION", "COMMENT", "RESHARE")


def is_member(user: str) -> bool:
    return user.startswith("urn:li:person:")


def _last_day(now: datetime) -> tuple[datetime, datetime]:
    """The last whole UTC day, which is how LinkedIn counts."""
    end = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return end - timedelta(days=1), end


async def account(api: rest.Rest, user: str, this: Round) -> PollPage:
    """The followers, what the posts and the page did in the last whole day, how many posts."""
    if is_member(user):
        return await _member(api, this)
    entity = rest.urn(user)
    start, end = (int(moment.timestamp() * 1000) for moment in _last_day(this.now))
    day = rest.days(start, end)
    responses = {
        "network_size": await api.get(
            f"networkSizes/{entity}", edgeType="COMPANY_FOLLOWED_BY_MEMBER"
        ),
        "share_statistics": await api.get(
            "organizationalEntityShareStatistics",
            q="organizationalEntity",
            organizationalEntity=entity,
            timeIntervals=day,
        ),
        "page_statistics": await api.get(
            "organizationPageStatistics", q="organization", organization=entity, timeIntervals=day
        ),
        "follower_gains": await api.get(
            "organizationalEntityFollowerStatistics",
            q="organizationalEntity",
            organizationalEntity=entity,
            timeIntervals=day,
        ),
        "posts": await api.get_or_none("posts", q="author", author=entity, count="1"),
    }
    return PollPage([this.observation(responses)])


async def _member(api: rest.Rest, this: Round) -> PollPage:
    """A person's own followers and what their posts did in the last whole day."""
    start, end = (
        f"(day:{moment.day},month:{moment.month},year:{moment.year})"
        for moment in _last_day(this.now)
    )
    analytics = {
        query: await api.get_or_none(
            "memberCreatorPostAnalytics",
            q="me",
            queryType=query,
            aggregation="DAILY",
            dateRange=f"(start:{start},end:{end})",
        )
        for query in _MEMBER_QUERIES
    }
    responses = {
        "member_followers": await api.get("memberFollowersCount", q="me"),
        "member_analytics": analytics,
    }
    return PollPage([this.observation(responses)])


async def posts(api: rest.Rest, user: str, this: Round) -> PollPage:
    """Twenty posts and their statistics. Nobody may list the posts of a member: those are none."""
    if is_member(user):
        return PollPage([])
    start = this.cursor.get("start")
    start = start if isinstance(start, int) else 0
    page = await api.get(
        "posts", q="author", author=rest.urn(user), count=str(_POSTS), start=str(start)
    )
    found: dict[str, dict[str, Any]] = {}
    items = mappings(page.get("elements"))
    finished = len(items) < _POSTS
    for post in items:
        number = identifier(post.get("id"))
        published = post.get("publishedAt")
        made = unix_time(published if published is not None else post.get("createdAt"))
        if made is not None and made < this.now - FOLLOWED:
            finished = True
        elif number is not None:
            found[number] = post
    statistics = await _statistics(api, user, list(found)) if found else {}
    seen: list[Observation] = [
        this.observation({"post": post, "statistics": statistics.get(number)}, number)
        for number, post in found.items()
    ]
    return PollPage(seen, None if finished else this.next_cursor(start=start + _POSTS))


async def _statistics(api: rest.Rest, user: str, numbers: list[str]) -> dict[str, Any]:
    """The statistics of these posts, by URN. One without any has no entry."""
    kinds = {
        "shares": [number for number in numbers if number.startswith("urn:li:share:")],
        "ugcPosts": [number for number in numbers if number.startswith("urn:li:ugcPost:")],
    }
    query = {name: rest.urns(chosen) for name, chosen in kinds.items() if chosen}
    if not query:
        return {}
    answer = await api.get(
        "organizationalEntityShareStatistics",
        q="organizationalEntity",
        organizationalEntity=rest.urn(user),
        **query,
    )
    by_urn: dict[str, Any] = {}
    for element in mappings(answer.get("elements")):
        number = identifier(dig(element, "share")) or identifier(dig(element, "ugcPost"))
        if number is not None:
            by_urn[number] = element
    return by_urn


async def audience(api: rest.Rest, user: str, this: Round) -> PollPage:
    """Followers by place, trade and rank. LinkedIn describes no member's followers."""
    if is_member(user):
        return PollPage([])
    statistics = await api.get(
        "organizationalEntityFollowerStatistics",
        q="organizationalEntity",
        organizationalEntity=rest.urn(user),
    )
    return PollPage([this.observation({"follower_statistics": statistics})])
