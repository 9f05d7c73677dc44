"""X's webhooks: one activity per request (sections 4.1 and 4.2)."""

from datetime import datetime, timedelta
from random import Random

from libs.simulator import signing
from libs.simulator.items import Delivery, Item, Signature, compact
from libs.simulator.people import Person, Stranger, remark, stranger
from libs.simulator.settings import SimulatorSettings
from libs.simulator.wire import Json
from libs.simulator.world import World, follows
from libs.simulator.x.metrics import stamp, tweet

LARGEST_BATCH = 1
COMMON = (
    "follow.follow",
    "follow.follow",
    "follow.unfollow",
    "like.create",
    "like.create",
    "post.mention.create",
    "post.reply.create",
    "post.quote.create",
    "post.repost.create",
)
EVENTS = (
    "post.create",
    "post.mention.create",
    "post.reply.create",
    "post.quote.create",
    "post.repost.create",
    "post.delete",
    "follow.follow",
    "follow.unfollow",
    "like.create",
    "oauth.revoke",
)
# Events whose subscription filter names no user.
UNFILTERED = ("oauth.revoke", "replay_job_status")


def make(world: World, person: Person, event: str, at: datetime, rng: Random) -> Item:
    """A new item of the event, fit for `pack`."""
    who = stranger(world.seed, rng.randrange(50_000))
    includes: Json = {}
    effect: tuple[str, int] | None = None
    if event.startswith("follow."):
        payload: Json = {
            "source": {"data": _stranger(who, at)},
            "target": {"data": _user(world, person, at)},
        }
        effect = (follows(person), 1 if event == "follow.follow" else -1)
    elif event == "like.create":
        liked = _recent(world, person, at, rng)
        payload = {
            "id": f"{world.next_id():x}",
            "liked_tweet_id": liked,
            "liked_tweet_author_id": person.account_id,
            "created_at": stamp(at),
            "timestamp_ms": int(at.timestamp() * 1000),
        }
        includes = {"users": [_stranger(who, at)]}
        effect = (f"likes:{liked}", 1)
    elif event == "post.delete":
        payload = {"id": _recent(world, person, at, rng), "author_id": person.account_id}
    elif event == "oauth.revoke":
        payload = {"date_time": stamp(at), "user_id": person.account_id, "app_id": "31415926"}
    elif event == "post.create":
        posts = world.recent(person, at)
        payload = tweet(world, person, rng.choice(posts), at) if posts else {}
        includes = {"users": [_user(world, person, at)]}
    else:
        payload = _reaction(world, person, event, who=who, at=at, rng=rng)
        includes = {"users": [_stranger(who, at)]}
        aimed = payload.get("referenced_tweets", [{"id": ""}])[0]["id"]
        kind = "comments" if event == "post.reply.create" else "shares"
        effect = (f"{kind}:{aimed}", 1) if aimed else None
    return envelope(world, person, event, payload, includes=includes, effect=effect)


def envelope(
    world: World,
    person: Person,
    event: str,
    payload: Json,
    *,
    includes: Json | None = None,
    effect: tuple[str, int] | None = None,
) -> Item:
    """The item around a payload, with a fresh event_uuid; every other one is negative."""
    number = world.next_id()
    uuid = str(-number if number % 2 else number)
    data: Json = {
        "event_uuid": uuid,
        "filter": {} if event in UNFILTERED else {"user_id": person.account_id},
        "event_type": event,
        "payload": payload,
    }
    if includes:
        data["includes"] = includes
    return Item("x", person.handle, person.account_id, event, uuid, {"data": data}, effect)


def pack(
    items: list[Item], batch: int, at: datetime, settings: SimulatorSettings, signature: Signature
) -> list[Delivery]:
    """One signed request per item, whatever `batch` says."""
    return [_delivery(item, settings, signature) for item in items]


def _delivery(item: Item, settings: SimulatorSettings, signature: Signature) -> Delivery:
    body = compact(item.content)
    headers = {"content-type": "application/json"}
    if signature != "missing":
        right = settings.x_consumer_secret
        secret = right if signature == "good" else f"not-{right}"
        headers["x-twitter-webhooks-signature"] = signing.x(secret, body)
    return Delivery("x", "/webhooks/x", body, headers, (item,))


def _recent(world: World, person: Person, at: datetime, rng: Random) -> str:
    posts = world.recent(person, at)
    return rng.choice(posts).id if posts else str(world.next_id())


def _reaction(
    world: World, person: Person, event: str, *, who: Stranger, at: datetime, rng: Random
) -> Json:
    """A stranger's post that mentions, answers, quotes or reposts."""
    number = str(world.next_id())
    text = remark(world.seed, number)
    payload: Json = {
        "id": number,
        "text": f"@{person.handle} {text}",
        "author_id": who.id,
        "created_at": stamp(at),
        "conversation_id": number,
        "entities": {
            "mentions": [
                {
                    "start": 0,
                    "end": len(person.handle) + 1,
                    "username": person.handle,
                    "id": person.account_id,
                }
            ]
        },
        "public_metrics": {
            "retweet_count": 0,
            "reply_count": 0,
            "like_count": 0,
            "quote_count": 0,
            "bookmark_count": 0,
            "impression_count": 0,
        },
    }
    if event == "post.mention.create":
        return payload
    aimed = _recent(world, person, at, rng)
    if event == "post.reply.create":
        payload["conversation_id"] = payload["in_reply_to_tweet_id"] = aimed
        payload["in_reply_to_user_id"] = person.account_id
        payload["referenced_tweets"] = [{"type": "replied_to", "id": aimed}]
    elif event == "post.quote.create":
        payload["text"] = text
        payload["entities"] = {}
        payload["referenced_tweets"] = [{"type": "quoted", "id": aimed}]
    else:
        payload["text"] = f"RT @{person.handle}: {text}"
        payload["referenced_tweets"] = [{"type": "retweeted", "id": aimed}]
    return payload


def _stranger(who: Stranger, at: datetime) -> Json:
    return {
        "id": who.id,
        "name": who.name,
        "username": who.handle.replace(".", "_"),
        "created_at": stamp(at - timedelta(days=400 + who.followers % 1500)),
        "profile_image_url": f"https://cdn.example.com/x/{who.id}_normal.jpg",
        "verified": who.verified,
        "public_metrics": {
            "followers_count": who.followers,
            "following_count": 150 + who.followers % 300,
            "tweet_count": who.followers * 3,
            "listed_count": who.followers // 200,
        },
    }


def _user(world: World, person: Person, at: datetime) -> Json:
    return {
        "id": person.account_id,
        "name": person.name,
        "username": person.handle,
        "verified": person.verified,
        "public_metrics": {
            "followers_count": world.followers(person, at),
            "following_count": person.following,
            "tweet_count": world.posts_count(person, at),
            "listed_count": person.followers // 180,
        },
    }
