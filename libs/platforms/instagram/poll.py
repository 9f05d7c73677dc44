"""Reading Instagram's numbers: account, posts, audience."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from libs.platforms.base import Endpoints, Observation, PollPage, Rejected
from libs.platforms.http import RATE_LIMIT_USED, Answer, call
from libs.platforms.instagram import graph
from libs.platforms.polling import FOLLOWED, Round
from libs.platforms.shapes import dig, identifier, iso_time, mappings

_PROFILE = "user_id,username,name,profile_picture_url,followers_count,follows_count,media_count"
_DAY = (
    "reach,views,accounts_engaged,total_interactions,likes,comments,shares,saves,replies,"
    "profile_links_taps"
)
_MEDIA = "id,caption,media_type,media_product_type,permalink,timestamp,like_count,comments_count"
_LIFETIME = "views,reach,likes,comments,saved,shares,total_interactions"
_BREAKDOWNS = ("age", "gender", "country", "city")
# Each post costs a request of its own, so a page of them is small.
_POSTS = 10


class Reader:
    """Requests for one account, and the pace that their headers ask for."""

    def __init__(
        self, http: httpx.AsyncClient, at: Endpoints, token: SecretStr, user: str, now: datetime
    ) -> None:
        self._http, self._at, self._token, self._now = http, at, token, now
        self.user = user
        self.not_before: datetime | None = None

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        answer: Answer = await call(
            self._http,
            "GET",
            f"{self._at.graph}/{graph.VERSION}/{path}",
            platform="instagram",
            refusal=graph.refusal,
            token=self._token,
            params=params,
        )
        self.not_before = graph.not_before(answer, self._now)
        RATE_LIMIT_USED.labels("instagram").set(graph.used_share(answer))
        document: dict[str, Any] = answer.document
        return document

    async def get_or_none(self, path: str, **params: str) -> dict[str, Any] | None:
        """None where Instagram refuses: one metric that an object lacks fails its whole call."""
        try:
            return await self.get(path, **params)
        except Rejected:
            return None


async def account(reader: Reader, this: Round) -> PollPage:
    """The profile, and the numbers of the last whole day (US Pacific).

    `profile_views` is asked for by itself: documents disagree on whether it still exists.
    """
    insights = f"{reader.user}/insights"
    day = {"metric_type": "total_value", "period": "day"}
    responses = {
        "profile": await reader.get("me", fields=_PROFILE),
        "insights": await reader.get(insights, metric=_DAY, **day),
        "profile_views": await reader.get_or_none(insights, metric="profile_views", **day),
    }
    return PollPage([this.observation(responses)], None, reader.not_before)


async def posts(reader: Reader, this: Round) -> PollPage:
    """Ten posts and the insights of each, from the newest on."""
    after = this.cursor.get("after")
    page = await reader.get(
        f"{reader.user}/media",
        fields=_MEDIA,
        limit=str(_POSTS),
        **({"after": after} if isinstance(after, str) else {}),
    )
    seen: list[Observation] = []
    items = mappings(page.get("data"))
    for media in items:
        number = identifier(media.get("id"))
        if number is None or _too_old(media, this.now):
            continue
        insights = await reader.get_or_none(f"{quote(number, safe='')}/insights", metric=_LIFETIME)
        seen.append(this.observation({"media": media, "insights": insights}, number))
    onward = dig(page, "paging", "cursors", "after")
    finished = not items or _too_old(items[-1], this.now) or not isinstance(onward, str)
    cursor = None if finished else this.next_cursor(after=onward)
    return PollPage(seen, cursor, reader.not_before)


def _too_old(media: Mapping[str, Any], now: datetime) -> bool:
    made = iso_time(media.get("timestamp"))
    return made is not None and made < now - FOLLOWED


async def audience(reader: Reader, this: Round) -> PollPage:
    """Who follows, one breakdown for each request, and when they were online this week."""
    path = f"{reader.user}/insights"
    responses: dict[str, Any] = {
        breakdown: await reader.get(
            path,
            metric="follower_demographics",
            period="lifetime",
            metric_type="total_value",
            timeframe="this_month",
            breakdown=breakdown,
        )
        for breakdown in _BREAKDOWNS
    }
    responses["online_followers"] = await reader.get_or_none(
        path,
        metric="online_followers",
        period="lifetime",
        since=str(int((this.now - timedelta(days=8)).timestamp())),
        until=str(int(this.now.timestamp())),
    )
    return PollPage([this.observation(responses)], None, reader.not_before)
