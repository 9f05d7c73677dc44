"""What the topics hold for each projection: the same events in every process, by a fixed seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, get_args
from uuid import UUID

from libs.contracts import accounts as a
from libs.contracts import identity as i
from libs.contracts import ingestion as g
from libs.contracts.envelope import Cursor, Envelope, Metadata
from libs.contracts.event import Event

ACCOUNTS = 2_000
MEMBERS_OF = 4_000
# Within a month that every fresh database has.
START = datetime.now(UTC).replace(day=2, hour=0, minute=0, second=0, microsecond=0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Sent:
    """An event on a topic."""

    topic: str
    envelope: Envelope
    event: Event


@dataclass(frozen=True)
class Account:
    """Whom an event concerns."""

    id: UUID
    workspace_id: UUID
    platform: a.PlatformName
    number: int


class World:
    """Accounts and workspaces, and chance; equal for equal seeds."""

    def __init__(self, seed: int = 20261123) -> None:
        self.chance = random.Random(seed)
        workspaces = [self.uuid() for _ in range(ACCOUNTS // 4)]
        platforms = get_args(a.PlatformName)
        self.accounts = [
            Account(self.uuid(), workspaces[n % len(workspaces)], platforms[n % 4], n)
            for n in range(ACCOUNTS)
        ]

    def uuid(self) -> UUID:
        """A version 4 UUID."""
        return UUID(int=self.chance.getrandbits(128), version=4)

    def count(self, highest: int) -> int:
        """From 0 to `highest`."""
        return self.chance.randrange(highest + 1)


def _about(account: Account, at: datetime) -> dict[str, Any]:
    return {
        "account_id": account.id,
        "workspace_id": account.workspace_id,
        "platform": account.platform,
        "occurred_at": at,
    }


def snapshots(world: World) -> Iterator[Event]:
    """Each account's numbers, hour after hour; one platform of four tells sums only."""
    for hour in range(10_000):
        for account in world.accounts:
            at = START + hour * HOUR + timedelta(seconds=account.number)
            about = _about(account, at)
            totals = {"followers_count": 5_000 + hour, "following_count": 300, "posts_count": hour}
            if account.platform == "tiktok":
                sums = {"impressions_total": hour * 1_000, "engagement_total": hour * 40}
                yield g.AccountMetricsObserved(**about, **totals, **sums)
            else:
                windows = {"reach": world.count(9_000), "impressions": world.count(20_000)}
                more = {"engagement_count": world.count(900), "profile_views": world.count(300)}
                yield g.AccountMetricsObserved(**about, **totals, **windows, **more)


def followers(world: World) -> Iterator[Event]:
    """Who came, and one in four who left."""
    for number in range(10_000_000):
        about = _about(world.chance.choice(world.accounts), START + number * timedelta(seconds=2))
        person: dict[str, Any] = {
            "user_id": str(10**18 + number),
            "username": f"person_{number}",
            "profile_pic_url": f"https://img.example.org/p/{number}_normal.jpg",
            "verified": world.count(9) == 0,
            "follower_count": world.count(5_000),
        }
        kind = g.FollowerLost if world.count(3) == 0 else g.FollowerGained
        yield kind(**about, **person)


def posts(world: World) -> Iterator[Event]:
    """Polls of twenty posts an account, and one in fifty deleted."""
    for number in range(10_000_000):
        account = world.chance.choice(world.accounts)
        about = _about(account, START + number * timedelta(seconds=2))
        post = f"17{account.number:06}{world.count(19):09}"
        if world.count(49) == 0:
            yield g.PostDeleted(**about, post_id=post)
            continue
        counts = {f"{name}_count": world.count(900) for name in ("likes", "comments", "shares")}
        yield g.PostMetricsObserved(
            **about,
            platform_post_id=post,
            post_url=f"https://www.example.org/p/{post}/",
            caption=f"What we saw at the river this morning, number {number}: herons, again",
            media_type="photo",
            saves_count=world.count(90),
            reach=world.count(90_000),
            posted_at=START - DAY,
            **counts,
        )


def audiences(world: World) -> Iterator[Event]:
    """Each account's audience, day after day."""
    ages = ("13-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+")
    for day in range(10_000):
        for account in world.accounts:
            at = START + day * DAY + timedelta(seconds=account.number)
            yield g.AudienceObserved(
                **_about(account, at),
                snapshot_date=at.date(),
                age_ranges=tuple(g.AgeRange(range=age, count=world.count(900)) for age in ages),
                genders=tuple(g.GenderCount(gender=s, count=world.count(900)) for s in "FMU"),
                countries=tuple(
                    g.CountryCount(country=land, count=world.count(900))
                    for land in ("DE", "FR", "GB", "US", "NL")
                ),
            )


def chatter(world: World) -> Iterator[Event]:
    """Comments and reactions."""
    for number in range(10_000_000):
        account = world.chance.choice(world.accounts)
        about = _about(account, START + number * timedelta(seconds=1))
        who = {"author_id": str(10**9 + number), "author_name": f"person_{number}"}
        if number % 3:
            yield g.CommentReceived(
                **about, comment_id=str(number), post_id="1", text="So many herons!", **who
            )
        else:
            yield g.ReactionReceived(**about, kind="like", post_id="1", **who)


def connections(world: World) -> Iterator[Event]:
    """Accounts come, three quarters have later events: reviews, reconnections, ends."""
    for round_ in range(10_000):
        known = world.accounts if round_ == 0 else World(1_000 + round_).accounts
        for step in ("connect", "review", "reconnect", "disconnect"):
            for account in known:
                about: dict[str, Any] = {
                    "account_id": account.id,
                    "workspace_id": account.workspace_id,
                    "platform": account.platform,
                }
                granted = {
                    **about,
                    "handle": f"rook_{account.number}",
                    "platform_user_id": f"{round_}-{account.number}",
                    "status": "active",
                    "scopes": ("read", "publish", "insights"),
                    "other_ids": (f"page-{round_}-{account.number}",),
                }
                if step == "connect":
                    yield a.AccountConnected(**granted)
                elif step == "review" and account.number % 4 == 1:
                    yield a.AccountReviewRequested(**about, reason="token-expired")
                elif step == "reconnect" and account.number % 4 == 1:
                    yield a.AccountReconnected(**granted)
                elif step == "disconnect" and account.number % 4 == 2:
                    yield a.AccountDisconnected(**about, reason="by-member")


def memberships(world: World) -> Iterator[Event]:
    """Members are added; some change their role, some leave."""
    workspaces = [world.uuid() for _ in range(MEMBERS_OF)]
    while True:
        users = [(workspace, world.uuid()) for workspace in workspaces]
        for workspace, user in users:
            about = {"workspace_id": workspace, "user_id": user}
            yield i.MemberAdded(member_id=world.uuid(), role="editor", **about)
        for number, (workspace, user) in enumerate(users):
            about = {"workspace_id": workspace, "user_id": user}
            if number % 4 == 0:
                yield i.MemberRoleChanged(role="analyst", **about)
            elif number % 4 == 1:
                yield i.MemberRemoved(**about)


def everything(world: World) -> Iterator[Event]:
    """What an audit trail sees: mostly the platforms, some of the members' doings."""
    talk, people, links = chatter(world), memberships(world), connections(World(1))
    polls = snapshots(world)
    while True:
        yield from (next(talk), next(talk), next(talk), next(polls), next(people), next(links))


History = Callable[[World], Iterator[Event]]


def sent(history: History, count: int, types: frozenset[str] | None = None) -> Sequence[Sent]:
    """The first `count` events (of these wire types), in the order of their owners' logs."""
    world = World()
    ids = World(7)
    found: list[Sent] = []
    wanted = (event for event in history(world) if types is None or event.type in types)
    for number, event in enumerate(islice(wanted, count)):
        owner = event.type.partition(".")[0]
        account = getattr(event, "account_id", None)
        workspace = getattr(event, "workspace_id", None)
        by_a_person = Metadata(
            actor_id=world.accounts[number % ACCOUNTS].id,
            ip="203.0.113.7",
            user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            correlation_id=f"req-{number:08}",
        )
        envelope = Envelope(
            id=ids.uuid(),
            type=event.type,
            source=f"/{owner}",
            time=getattr(event, "occurred_at", START + number * timedelta(seconds=1)),
            stream=f"account-{account}" if account else f"workspace-{workspace}",
            workspace_id=workspace,
            cursor=Cursor(1_000 + number // 50, number + 1),
            metadata=Metadata() if owner == "ingestion" else by_a_person,
        )
        found.append(Sent(f"{owner}.events", envelope, event))
    return found
