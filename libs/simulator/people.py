"""Who lives in the simulator: account holders, their posts, and strangers who react to them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from libs.simulator.curves import digest, fraction
from libs.simulator.wire import PLATFORMS, Platform

Kind = Literal["photo", "video", "carousel", "text"]


class Person(BaseModel):
    """An account holder on one platform; for LinkedIn, an organisation and who administers it."""

    model_config = ConfigDict(frozen=True)

    platform: Platform
    handle: str
    name: str
    # The id the platform's webhooks and endpoints use for the account.
    account_id: str
    # The other id: Instagram's app-scoped id, TikTok's union id, the member behind a LinkedIn page.
    member_id: str
    followers: int = Field(default=1000, ge=0, le=2_000_000_000)
    following: int = Field(default=200, ge=0)
    posts_per_week: float = Field(default=3.0, ge=0, le=200)
    # Share of `followers` won per day.
    daily_growth: float = 0.0012
    # When the account had exactly `followers`.
    anchor: datetime
    verified: bool = False
    # LinkedIn only: has a page, the member's role on it, and whether refresh tokens are given.
    organisation: bool = True
    role: str = "ADMINISTRATOR"
    refresh_tokens: bool = False


@dataclass(frozen=True)
class Post:
    """A post as it stood when it was made; how it did since is `World.numbers`."""

    id: str
    index: int
    created_at: datetime
    kind: Kind
    caption: str


@dataclass(frozen=True)
class Stranger:
    """Somebody who follows, likes or comments; not an account holder."""

    id: str
    handle: str
    name: str
    followers: int
    verified: bool


_FIRST = ("ana", "ben", "chloe", "dev", "elif", "femi", "grace", "hana", "ivo", "jun", "kofi",
          "lena", "mara", "nils", "olga", "petra", "quinn", "rosa", "sami", "tove", "uma", "vik",
          "wren", "yara", "zoe")  # fmt: skip
_LAST = ("almeida", "berg", "costa", "duarte", "ekman", "fox", "gray", "haddad", "ito", "jansen",
         "kaya", "lopez", "moreau", "novak", "okafor", "patel", "rossi", "silva", "tan", "weiss")  # fmt: skip
_TOPICS = ("a quiet morning in the workshop", "three things we learned this week",
           "the new colours are here", "behind the scenes of the spring shoot",
           "meet the people who make it", "how we pack an order", "a question we get a lot",
           "thank you for a wonderful month", "small details matter", "what is next")  # fmt: skip
_REMARKS = ("Love this!", "Where can I get one?", "Olá / parabéns!", "So good 👏", "Congratulations",
            "Is this available in Berlin?", "第一次看到", "Beautiful work", "How much is it?",
            "I have been waiting for this")  # fmt: skip


def stranger(seed: int, number: int) -> Stranger:
    """The stranger with this number; the same for the same seed."""
    first = _FIRST[digest(seed, "first", number) % len(_FIRST)]
    last = _LAST[digest(seed, "last", number) % len(_LAST)]
    return Stranger(
        id=str(900_000 + number),
        handle=f"{first}.{last}{number}",
        name=f"{first.title()} {last.title()}",
        followers=int(20 * 10 ** (4 * fraction(seed, "reach", number))),
        verified=fraction(seed, "verified", number) > 0.95,
    )


def caption(seed: int, *parts: object) -> str:
    """What a post says; the same for the same parts."""
    return _TOPICS[digest(seed, "topic", *parts) % len(_TOPICS)].capitalize()


def remark(seed: int, *parts: object) -> str:
    """What a stranger says about a post, not always in ASCII; the same for the same parts."""
    return _REMARKS[digest(seed, "remark", *parts) % len(_REMARKS)]


def account_ids(platform: Platform, handle: str) -> tuple[str, str]:
    """Account and member id of a handle, in the platform's style."""
    number, other = digest(platform, handle, "account"), digest(platform, handle, "member")
    if platform == "instagram":
        return f"178414{number % 10**11:011d}", f"{10**15 + other % 10**15}"
    if platform == "tiktok":
        return f"-000{number:016x}{other:016x}", f"{other:016x}-u"
    if platform == "linkedin":
        return str(10_000_000 + number % 80_000_000), f"{other:016x}"[:10]
    return str(10**9 + number % 10**9), str(other)


def demo_people(anchor: datetime) -> list[Person]:
    """One account holder per platform, called `rookery.demo` in each platform's manner."""
    sizes = {
        "instagram": ("rookery.demo", 12_400, 310, 4.0),
        "tiktok": ("rookery.demo", 28_900, 95, 3.0),
        "linkedin": ("rookery-demo", 5_300, 0, 2.5),
        "x": ("rookery_demo", 8_100, 640, 6.0),
    }
    people = []
    for platform in PLATFORMS:
        handle, followers, following, weekly = sizes[platform]
        account_id, member_id = account_ids(platform, handle)
        people.append(
            Person(
                platform=platform,
                handle=handle,
                name="Rookery Demo",
                account_id=account_id,
                member_id=member_id,
                followers=followers,
                following=following,
                posts_per_week=weekly,
                anchor=anchor,
                refresh_tokens=platform == "linkedin",
            )
        )
    return people
