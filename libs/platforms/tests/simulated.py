"""Driving the simulator: consent, revocation, faults, limits, its clock."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from pydantic import SecretStr

from libs.contracts.accounts import PlatformName
from libs.platforms.base import Grant, Observation, Platform, PollKind

VERIFIER = "v" * 64
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)


def redirect_uri(name: str) -> str:
    return f"http://127.0.0.1:9/v1/oauth/{name}/callback"


@dataclass
class Simulated:
    url: str
    http: httpx.AsyncClient
    platforms: dict[PlatformName, Platform]

    async def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST with a body, GET without."""
        url = f"{self.url}/_control/{path}"
        answer = await (self.http.get(url) if body is None else self.http.post(url, json=body))
        answer.raise_for_status()
        return answer.json()

    async def reset(self) -> None:
        await self.http.delete(f"{self.url}/_control/faults")
        for rule in ("instagram.account", "tiktok.user.info", "x.users.me"):
            await self.control("limits", {"rule": rule, "limit": None})
        await self.control("consent", {"mode": "allow"})

    async def now(self) -> datetime:
        return datetime.fromisoformat((await self.control("state"))["now"])

    async def person(self, name: PlatformName, **more: Any) -> dict[str, Any]:
        """The demo person of a platform, or a new one with these properties."""
        if more:
            found: dict[str, Any] = await self.control("people", {"platform": name, **more})
        else:
            found = (await self.control(f"people?platform={name}"))[0]
        return found

    async def code(self, name: PlatformName, handle: str, **choice: Any) -> str:
        """What the callback gets when this person consents; state is checked on the way."""
        consent = {"platform": name, "mode": "allow", "as": handle, **choice}
        await self.control("consent", consent)
        url = self.platforms[name].authorize_url(
            redirect_uri=redirect_uri(name), state="the-state", code_challenge=CHALLENGE
        )
        answer = await self.http.get(url)
        assert answer.is_redirect, answer.text
        back = parse_qs(urlsplit(answer.headers["location"]).query)
        assert back["state"] == ["the-state"]
        return back["code"][0]

    async def exchange(self, name: PlatformName, code: str, verifier: str = VERIFIER) -> Grant:
        return await self.platforms[name].exchange_code(
            self.http,
            code=code,
            redirect_uri=redirect_uri(name),
            code_verifier=verifier,
            now=await self.now(),
        )

    async def grant(self, name: PlatformName, handle: str | None = None, **choice: Any) -> Grant:
        chosen = handle or (await self.person(name))["handle"]
        return await self.exchange(name, await self.code(name, chosen, **choice))

    async def poll(
        self, name: PlatformName, kind: PollKind, token: SecretStr, user: str
    ) -> list[Observation]:
        """All observations of one poll, page by page."""
        now = await self.now()
        seen: list[Observation] = []
        cursor: dict[str, Any] | None = None
        for _ in range(200):
            page = await self.platforms[name].poll(
                self.http,
                kind=kind,
                access_token=token,
                platform_user_id=user,
                cursor=cursor,
                now=now,
            )
            seen += page.observations
            cursor = page.cursor
            if cursor is None:
                return seen
        raise AssertionError("the poll does not end")
