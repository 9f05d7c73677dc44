"""What X's read endpoints answer about a person at a moment (section 4.5). Pure."""

from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta

from libs.simulator.people import Person, Post
from libs.simulator.wire import Json
from libs.simulator.world import DAY, Numbers, World

USER_FIELDS = (
    "id", "name", "username", "created_at", "description", "profile_image_url", "protected",
    "public_metrics", "verified",
)  # fmt: skip
POLLED_USER = ("profile_image_url", "public_metrics", "verified")
TWEET_FIELDS = (
    "id", "text", "attachments", "author_id", "conversation_id", "created_at",
    "edit_history_tweet_ids", "public_metrics", "non_public_metrics",
)  # fmt: skip
POLLED_TWEET = ("attachments", "author_id", "created_at", "non_public_metrics", "public_metrics")
ANALYTICS = (
    "impressions", "engagements", "likes", "replies", "retweets", "quote_tweets", "bookmarks",
    "shares", "url_clicks", "user_profile_clicks",
)  # fmt: skip
STEPS = {"hourly": timedelta(hours=1), "daily": DAY, "weekly": timedelta(weeks=1)}
# Private numbers are given for posts this young.
PRIVATE = timedelta(days=30)


def user(world: World, person: Person, at: datetime, names: Collection[str] = POLLED_USER) -> Json:
    """The body of GET /2/users/me; id, name and username always come along."""
    everything = {
        "id": person.account_id,
        "name": person.name,
        "username": person.handle,
        "created_at": stamp(person.anchor - timedelta(days=900)),
        "description": f"{person.name} on the simulated X",
        "profile_image_url": f"https://cdn.example.com/x/{person.account_id}_normal.jpg",
        "protected": False,
        "verified": person.verified,
        "public_metrics": {
            "followers_count": world.followers(person, at),
            "following_count": person.following,
            "tweet_count": world.posts_count(person, at),
            "listed_count": person.followers // 180,
            "like_count": person.following * 9,
        },
    }
    wanted = ("id", "name", "username", *names)
    return {"data": {name: everything[name] for name in dict.fromkeys(wanted)}}


def tweet(
    world: World,
    person: Person,
    post: Post,
    at: datetime,
    names: Collection[str] = POLLED_TWEET,
) -> Json:
    """One tweet; private numbers only of posts younger than 30 days."""
    n = world.numbers(person, post, at)
    everything: Json = {
        "id": post.id,
        "text": post.caption,
        "edit_history_tweet_ids": [post.id],
        "author_id": person.account_id,
        "conversation_id": post.id,
        "created_at": stamp(post.created_at),
        "public_metrics": {
            "retweet_count": n.shares - n.shares // 4,
            "reply_count": n.comments,
            "like_count": n.likes,
            "quote_count": n.shares // 4,
            "bookmark_count": n.saves,
            "impression_count": n.views,
        },
    }
    if post.kind in ("photo", "video"):
        key = "3_" if post.kind == "photo" else "7_"
        everything["attachments"] = {"media_keys": [key + post.id]}
    if at - post.created_at <= PRIVATE:
        everything["non_public_metrics"] = {
            "impression_count": n.views,
            "engagements": _engagements(n),
            "user_profile_clicks": n.profile_visits,
            "url_link_clicks": n.clicks,
        }
    wanted = dict.fromkeys(("id", "text", "edit_history_tweet_ids", *names))
    return {name: everything[name] for name in wanted if name in everything}


def analytics(
    world: World,
    person: Person,
    posts: list[Post],
    *,
    window: tuple[datetime, datetime],
    granularity: str,
    names: Collection[str],
) -> Json:
    """The body of GET /2/tweets/analytics: what each post gained per step of the window."""
    since, until = window
    step = STEPS.get(granularity, until - since)
    data = []
    for post in posts:
        series = []
        start = since
        while start < until:
            end = min(start + step, until)
            gain = world.numbers(person, post, end) - world.numbers(person, post, start)
            values = _analytics_values(gain)
            series.append(
                {"timestamp": stamp(start), "metrics": {name: values[name] for name in names}}
            )
            start = end
        data.append({"id": post.id, "timestamped_metrics": series})
    return {"data": data}


def last_day(at: datetime) -> tuple[datetime, datetime]:
    """The last whole UTC day before `at`."""
    end = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
    return end - DAY, end


def daily_analytics(world: World, person: Person, at: datetime) -> Json:
    """tweets/analytics of the last whole day for the newest hundred posts, as polled daily."""
    posts = world.posts(person, at)[:100]
    return analytics(
        world, person, posts, window=last_day(at), granularity="daily", names=ANALYTICS[:7]
    )


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _engagements(n: Numbers) -> int:
    return n.likes + n.comments + n.shares + n.saves + n.clicks + n.profile_visits


def _analytics_values(n: Numbers) -> dict[str, int]:
    return {
        "impressions": n.views,
        "engagements": _engagements(n),
        "likes": n.likes,
        "replies": n.comments,
        "retweets": n.shares - n.shares // 4,
        "quote_tweets": n.shares // 4,
        "bookmarks": n.saves,
        "shares": n.shares // 2,
        "url_clicks": n.clicks,
        "user_profile_clicks": n.profile_visits,
    }
