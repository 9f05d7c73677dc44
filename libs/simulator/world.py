"""The world behind the platforms: people, posts and the numbers they had at any moment.

Everything is a function of (seed, person, moment), plus what the simulator itself made happen
since; so a poll now and the history of ninety days are the same code.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import lru_cache
from operator import add, attrgetter, sub

from libs.chassis.clock import Clock
from libs.simulator.curves import between, digest, fraction, ripening, wobble
from libs.simulator.people import Kind, Person, Post, caption
from libs.simulator.wire import Platform

DAY = timedelta(days=1)
# Accounts have posted for this long before their anchor.
_PAST = timedelta(days=120)
_KINDS: dict[Platform, tuple[Kind, ...]] = {
    "instagram": ("photo", "video", "carousel", "photo"),
    "tiktok": ("video",),
    "linkedin": ("photo", "text", "video", "text"),
    "x": ("text", "text", "photo", "video"),
}
_TWITTER_EPOCH_MS = 1_288_834_974_657


@dataclass(frozen=True)
class Numbers:
    """Lifetime counts of a post, or what was gained in a window. All whole and never negative."""

    views: int = 0
    reach: int = 0
    likes: int = 0
    comments: int = 0
    shares: int = 0
    saves: int = 0
    clicks: int = 0
    profile_visits: int = 0

    @property
    def interactions(self) -> int:
        """Likes, comments, shares and saves together."""
        return self.likes + self.comments + self.shares + self.saves

    def __add__(self, other: "Numbers") -> "Numbers":
        return Numbers(*map(add, _counts(self), _counts(other)))

    def __sub__(self, other: "Numbers") -> "Numbers":
        return Numbers(*map(sub, _counts(self), _counts(other)))


# Sums of whole accounts over months are what a first start waits for.
_counts = attrgetter(*(field.name for field in fields(Numbers)))


@dataclass(frozen=True)
class _Traits:
    """How well a post does: views per follower, then rates per view or per like."""

    appeal: float
    reach: float
    likes: float
    comments: float
    shares: float
    saves: float
    clicks: float
    visits: float


@lru_cache(maxsize=20_000)
def _traits(seed: int, post_id: str) -> _Traits:
    key = (seed, post_id)
    luck = fraction(*key, "luck")
    return _Traits(
        appeal=0.2 + 0.7 * luck * luck + (4.0 if luck > 0.97 else 0.0),
        reach=between(0.7, 0.9, *key, "reach"),
        likes=between(0.03, 0.09, *key, "likes"),
        comments=between(0.03, 0.12, *key, "comments"),
        shares=between(0.02, 0.1, *key, "shares"),
        saves=between(0.02, 0.1, *key, "saves"),
        clicks=between(0.004, 0.02, *key, "clicks"),
        visits=between(0.002, 0.01, *key, "visits"),
    )


class World:
    """People and what they did. Not thread-safe; one event loop owns it."""

    def __init__(
        self,
        seed: int,
        clock: Clock,
        people: list[Person],
        happened: dict[str, tuple[datetime, int]] | None = None,
    ) -> None:
        self.seed = seed
        self.clock = clock
        self.people = people
        self._posts: dict[tuple[Platform, str], list[Post]] = {}
        self._happened: defaultdict[str, tuple[list[datetime], list[int]]] = defaultdict(
            lambda: ([], [])
        )
        for key, (moment, total) in (happened or {}).items():
            self._happened[key] = ([moment], [total])
        # Starting from the clock keeps event ids unique across restarts.
        self._last_id = int(clock.now().timestamp() * 1_000_000)

    def next_id(self) -> int:
        """A number never given before, larger than the last."""
        self._last_id += 1
        return self._last_id

    def of(self, platform: Platform) -> list[Person]:
        return [person for person in self.people if person.platform == platform]

    def person(self, platform: Platform, handle: str) -> Person | None:
        return next((p for p in self.of(platform) if p.handle == handle), None)

    def put(self, person: Person) -> None:
        """Adds a person, or replaces the one of the same platform and handle."""
        known = self.person(person.platform, person.handle)
        if known is None:
            self.people.append(person)
        else:
            self.people[self.people.index(known)] = person
            self._posts.pop((person.platform, person.handle), None)

    def happen(self, key: str, amount: int = 1) -> None:
        """Records that the simulator made something happen now; it counts from now on."""
        moments, totals = self._happened[key]
        total = (totals[-1] if totals else 0) + amount
        now = self.clock.now()
        if moments and moments[-1] == now:
            totals[-1] = total
        else:
            moments.append(now)
            totals.append(total)

    def happened(self, key: str, at: datetime) -> int:
        """The sum of what was recorded under the key up to `at`."""
        if key not in self._happened:
            return 0
        moments, totals = self._happened[key]
        index = bisect_right(moments, at)
        return totals[index - 1] if index else 0

    def totals(self) -> dict[str, tuple[datetime, int]]:
        """What was recorded so far: the last moment and the sum of every key."""
        return {key: (moments[-1], sums[-1]) for key, (moments, sums) in self._happened.items()}

    def followers(self, person: Person, at: datetime) -> int:
        """Followers at a moment: a slow trend with ups and downs, exact at the person's anchor."""
        key = (self.seed, person.platform, person.handle)
        days = (at - person.anchor) / DAY
        swing = 0.006 * (wobble(days, *key) - wobble(0.0, *key))
        trend = max(0.05, 1 + person.daily_growth * days + swing)
        return max(0, round(person.followers * trend) + self.happened(follows(person), at))

    def posts(self, person: Person, at: datetime) -> list[Post]:
        """What the person had posted by `at`, newest first."""
        made = self._made(person, at)
        return made[: _count(made, at)][::-1]

    def recent(self, person: Person, at: datetime) -> list[Post]:
        """The newest dozen posts: those that strangers still react to."""
        made = self._made(person, at)
        end = _count(made, at)
        return made[max(0, end - 12) : end]

    def posts_count(self, person: Person, at: datetime) -> int:
        """How many posts there were by `at`."""
        return _count(self._made(person, at), at)

    def find_post(self, person: Person, post_id: str, at: datetime) -> Post | None:
        return next((post for post in self.posts(person, at) if post.id == post_id), None)

    def numbers(self, person: Person, post: Post, at: datetime) -> Numbers:
        """A post's lifetime counts at `at`; never smaller at a later moment."""
        grown = ripening((at - post.created_at) / timedelta(hours=1))
        if grown == 0.0:
            return Numbers()
        traits = _traits(self.seed, post.id)
        # The audience a post can reach is fixed when it is made, so its counts cannot fall.
        days = (post.created_at - person.anchor) / DAY
        size = max(20.0, person.followers * max(0.05, 1 + person.daily_growth * days))
        views = size * traits.appeal * grown
        likes = views * traits.likes
        return Numbers(
            views=int(views),
            reach=int(views * traits.reach),
            likes=int(likes) + self.happened(f"likes:{post.id}", at),
            comments=int(likes * traits.comments) + self.happened(f"comments:{post.id}", at),
            shares=int(likes * traits.shares) + self.happened(f"shares:{post.id}", at),
            saves=int(likes * traits.saves),
            clicks=int(views * traits.clicks),
            profile_visits=int(views * traits.visits),
        )

    def total(self, person: Person, at: datetime) -> Numbers:
        """All posts of a person together, over their lifetime."""
        whole = Numbers()
        for post in self.posts(person, at):
            whole += self.numbers(person, post, at)
        return whole

    def gained(self, person: Person, since: datetime, until: datetime) -> Numbers:
        """What all posts together won between two moments, and visits to the profile itself."""
        visits = person.followers * 0.008 * ((until - since) / DAY)
        visits *= between(0.6, 1.4, self.seed, person.handle, since.date())
        gain = self.total(person, until) - self.total(person, since)
        return gain + Numbers(profile_visits=int(visits))

    def _made(self, person: Person, at: datetime) -> list[Post]:
        """All posts generated so far, oldest first: those up to `at`, and perhaps later ones."""
        if person.posts_per_week == 0:
            return []
        made = self._posts.setdefault((person.platform, person.handle), [])
        every = timedelta(weeks=1) / person.posts_per_week
        start = person.anchor - _PAST
        while start + len(made) * every <= at:
            made.append(self._post(person, len(made), start, every))
        return made

    def _post(self, person: Person, index: int, start: datetime, every: timedelta) -> Post:
        key = (self.seed, person.platform, person.handle, index)
        created = start + (index + 0.8 * fraction(*key)) * every
        created = created.replace(microsecond=0)
        kinds = _KINDS[person.platform]
        return Post(
            id=_post_id(person.platform, created, digest(*key)),
            index=index,
            created_at=created,
            kind=kinds[digest(*key, "kind") % len(kinds)],
            caption=caption(*key),
        )


def _count(made: list[Post], at: datetime) -> int:
    return bisect_right(made, at, key=lambda post: post.created_at)


def follows(person: Person) -> str:
    """The key under which follows of a person are recorded."""
    return f"follows:{person.platform}:{person.account_id}"


def _post_id(platform: Platform, created: datetime, salt: int) -> str:
    """An id in the platform's style: most hold the time in their high bits, in real life too."""
    seconds = int(created.timestamp())
    if platform == "instagram":
        return f"178{salt % 10**14:014d}"
    if platform == "tiktok":
        return str(seconds << 32 | salt % 2**32)
    if platform == "linkedin":
        return f"urn:li:share:{seconds * 1000 << 22 | salt % 2**22}"
    return str(seconds * 1000 - _TWITTER_EPOCH_MS << 22 | salt % 2**22)
