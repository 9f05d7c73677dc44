"""Reading X's numbers: account and posts. It tells nothing of the audience."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from libs.platforms.base import PollPage, Rejected
from libs.platforms.polling import FOLLOWED, Round
from libs.platforms.shapes import dig, identifier, iso_time, mappings
from libs.platforms.x.api import Api

_USER = "profile_image_url,public_metrics,verified"
_POST = "attachments,author_id,created_at,public_metrics"
_ANALYTICS = "impressions,engagements,likes,replies,retweets,quote_tweets,bookmarks"
# The private numbers are given for so long, less an hour so as not to ask too late.
_PRIVATE = timedelta(days=30) - timedelta(hours=1)
_PAGE = "100"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def account(api: Api, user: str, this: Round) -> PollPage:
    """The user, and what the newest hundred posts did in the last whole UTC day."""
    responses: dict[str, Any] = {
        "user": await api.get("users/me", {"user.fields": _USER}),
        "analytics": None,
    }
    newest = await api.get(f"users/{quote(user, safe='')}/tweets", {"max_results": _PAGE})
    numbers = [identifier(post.get("id")) for post in mappings(newest.get("data"))]
    ids = ",".join(number for number in numbers if number is not None)
    if ids:
        end = this.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        query = {
            "ids": ids,
            "start_time": _stamp(end - timedelta(days=1)),
            "end_time": _stamp(end),
            "granularity": "daily",
            "analytics.fields": _ANALYTICS,
        }
        try:
            responses["analytics"] = await api.get("tweets/analytics", query)
        except Rejected:  # not every grade of access includes analytics
            responses["analytics"] = None
    return PollPage([this.observation(responses)], None, api.not_before)


async def posts(api: Api, user: str, this: Round) -> PollPage:
    """A hundred posts; those young enough are read again with their private numbers."""
    query = {
        "max_results": _PAGE,
        "tweet.fields": _POST,
        "start_time": _stamp(this.now - FOLLOWED),
    }
    token = this.cursor.get("token")
    if isinstance(token, str):
        query["pagination_token"] = token
    page = await api.get(f"users/{quote(user, safe='')}/tweets", query)
    found = {
        number: post
        for post in mappings(page.get("data"))
        if (number := identifier(post.get("id"))) is not None
    }
    young = [number for number, post in found.items() if _is_young(post, this.now)]
    if young:
        fields = f"{_POST},non_public_metrics"
        detailed = await api.get("tweets", {"ids": ",".join(young), "tweet.fields": fields})
        for post in mappings(detailed.get("data")):
            number = identifier(post.get("id"))
            if number in found:
                found[number] = post
    seen = [this.observation({"tweet": post}, number) for number, post in found.items()]
    onward = dig(page, "meta", "next_token")
    cursor = this.next_cursor(token=onward) if isinstance(onward, str) else None
    return PollPage(seen, cursor, api.not_before)


def _is_young(post: dict[str, Any], now: datetime) -> bool:
    made = iso_time(post.get("created_at"))
    return made is not None and made > now - _PRIVATE
