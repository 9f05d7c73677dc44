"""The table of platforms, and how they are built from settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from libs.contracts.accounts import PlatformName
from libs.platforms.base import Credentials, Endpoints, Platform
from libs.platforms.instagram import Instagram
from libs.platforms.linkedin import LinkedIn
from libs.platforms.tiktok import TikTok
from libs.platforms.x import X

REAL_ENDPOINTS: Mapping[str, Endpoints] = {
    "instagram": Endpoints(
        www="https://www.instagram.com",
        api="https://api.instagram.com",
        graph="https://graph.instagram.com",
    ),
    "tiktok": Endpoints(www="https://www.tiktok.com", api="https://open.tiktokapis.com"),
    "linkedin": Endpoints(www="https://www.linkedin.com", api="https://api.linkedin.com"),
    "x": Endpoints(www="https://x.com", api="https://api.x.com"),
}


def simulated_endpoints(base_url: str, browser_url: str = "") -> dict[str, Endpoints]:
    """The endpoints of all platforms at a simulator: their hosts are prefixes of its paths.

    `browser_url` is where people find it, when that is not where we do.
    """
    base, browser = base_url.rstrip("/"), browser_url.rstrip("/")
    return {
        name: Endpoints(
            www=f"{base}/{name}-www",
            api=f"{base}/{name}-api",
            graph=f"{base}/{name}-graph" if real.graph else "",
            browser=f"{browser}/{name}-www" if browser else "",
        )
        for name, real in REAL_ENDPOINTS.items()
    }


def build(
    credentials: Mapping[str, Credentials],
    endpoints: Mapping[str, Endpoints] | None = None,
    *,
    tiktok_tolerance: timedelta = timedelta(seconds=300),
) -> dict[PlatformName, Platform]:
    """All four platforms, by name. Needs credentials for each; raises KeyError without.

    `endpoints` replaces the real ones by name. `tiktok_tolerance`: how far the time of a TikTok
    signature may be from now.
    """
    at = {**REAL_ENDPOINTS, **(endpoints or {})}
    return {
        "instagram": Instagram(credentials["instagram"], at["instagram"]),
        "tiktok": TikTok(credentials["tiktok"], at["tiktok"], tolerance=tiktok_tolerance),
        "linkedin": LinkedIn(credentials["linkedin"], at["linkedin"]),
        "x": X(credentials["x"], at["x"]),
    }
