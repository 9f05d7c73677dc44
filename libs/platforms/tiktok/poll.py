"""Reading TikTok's numbers: account and posts. It tells nothing of the audience."""

from __future__ import annotations

from typing import Any

import httpx
from pydantic import SecretStr

from libs.platforms.base import Endpoints, Observation, PollPage, ReconnectRequired
from libs.platforms.polling import FOLLOWED, Round
from libs.platforms.shapes import dig, identifier, mappings, unix_time
from libs.platforms.tiktok.api import call_api

_USER = (
    "open_id,username,display_name,avatar_url,follower_count,following_count,likes_count,"
    "video_count"
)
_LESS = "open_id,display_name,avatar_url,follower_count,following_count,likes_count,video_count"
_VIDEO = (
    "id,create_time,share_url,title,video_description,like_count,comment_count,share_count,"
    "view_count"
)
_SUMMED = "id,like_count,comment_count,share_count,view_count"
_PAGE = 20
_PAGES_AT_ONCE = 10
# Sums need every video. An account with more than these thousand gets none.
_MOST_PAGES = 50


class Reader:
    """Requests for one account."""

    def __init__(self, http: httpx.AsyncClient, at: Endpoints, token: SecretStr) -> None:
        self._http, self._at, self._token = http, at, token

    async def user(self) -> dict[str, Any]:
        """The user name needs a scope that a person may have withheld."""
        try:
            return await self._user(_USER)
        except ReconnectRequired as error:
            if error.reason != "scope-missing":
                raise
            return await self._user(_LESS)

    async def _user(self, fields: str) -> dict[str, Any]:
        url = f"{self._at.api}/v2/user/info/"
        return await call_api(self._http, "GET", url, token=self._token, params={"fields": fields})

    async def videos(self, fields: str, cursor: Any) -> dict[str, Any]:
        """Twenty videos, newest first, from a cursor on."""
        asked = {"max_count": _PAGE} | ({"cursor": cursor} if isinstance(cursor, int) else {})
        url = f"{self._at.api}/v2/video/list/?fields={fields}"
        return await call_api(self._http, "POST", url, token=self._token, json=asked)


async def account(reader: Reader, this: Round) -> PollPage:
    """The user, and all pages of the video list; what is read so far travels in the cursor."""
    user = this.cursor.get("user") or await reader.user()
    pages = list(this.cursor.get("videos") or [])
    for _ in range(_PAGES_AT_ONCE):
        onward = dig(pages[-1], "data", "cursor") if pages else None
        pages.append(await reader.videos(_SUMMED, onward))
        if dig(pages[-1], "data", "has_more") is not True or len(pages) == _MOST_PAGES:
            return PollPage([this.observation({"user": user, "videos": pages})])
    return PollPage([], this.next_cursor(user=user, videos=pages))


async def posts(reader: Reader, this: Round) -> PollPage:
    """One page of the video list."""
    page = await reader.videos(_VIDEO, this.cursor.get("cursor"))
    seen: list[Observation] = []
    finished = dig(page, "data", "has_more") is not True
    for video in mappings(dig(page, "data", "videos")):
        made, number = unix_time(video.get("create_time")), identifier(video.get("id"))
        if made is not None and made < this.now - FOLLOWED:
            finished = True
        elif number is not None:
            seen.append(this.observation({"video": video}, number))
    onward = dig(page, "data", "cursor")
    done = finished or not isinstance(onward, int)
    return PollPage(seen, None if done else this.next_cursor(cursor=onward))
