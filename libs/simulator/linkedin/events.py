"""LinkedIn's webhooks: social actions on a page's posts, up to ten per request (3.1, 3.2)."""

from datetime import datetime
from itertools import groupby
from random import Random

from libs.simulator import signing
from libs.simulator.items import Delivery, Item, Signature, compact
from libs.simulator.linkedin.metrics import member_urn, organisation_urn
from libs.simulator.people import Person, remark, stranger
from libs.simulator.settings import SimulatorSettings
from libs.simulator.wire import Json
from libs.simulator.world import World

LARGEST_BATCH = 10
COMMON = ("LIKE", "LIKE", "LIKE", "COMMENT", "COMMENT", "SHARE")
EVENTS = (
    "LIKE",
    "COMMENT",
    "SHARE",
    "SHARE_MENTION",
    "ADMIN_COMMENT",
    "COMMENT_EDIT",
    "COMMENT_DELETE",
)
KIND = "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS"
_EFFECTS = {"LIKE": "likes", "COMMENT": "comments", "ADMIN_COMMENT": "comments", "SHARE": "shares"}


def make(world: World, person: Person, event: str, at: datetime, rng: Random) -> Item:
    """A new item of the event, fit for `pack`. Raises ValueError for a person without a page."""
    if not person.organisation:
        raise ValueError("LinkedIn sends webhooks about organisations only")
    number = world.next_id()
    posts = world.recent(person, at)
    post = rng.choice(posts) if posts else None
    source = post.id if post else f"urn:li:share:{number}"
    activity = "urn:li:activity:" + source.rpartition(":")[2]
    who = f"urn:li:person:{stranger(world.seed, rng.randrange(50_000)).id}"
    actor = member_urn(person) if event == "ADMIN_COMMENT" else who
    content: Json = {
        "notificationId": number,
        "organizationalEntity": organisation_urn(person),
        "action": event,
        "sourcePost": source,
        "decoratedSourcePost": {
            "entity": source,
            "owner": organisation_urn(person),
            "text": post.caption if post else "",
            "mediaCategory": "IMAGE" if post and post.kind == "photo" else "NONE",
        },
        **_activity(event, actor, activity, number, remark(world.seed, number)),
        "lastModifiedAt": int(at.timestamp() * 1000),
        "subscriber": member_urn(person),
    }
    effect = (f"{_EFFECTS[event]}:{source}", 1) if event in _EFFECTS and post else None
    return Item("linkedin", person.handle, person.account_id, event, str(number), content, effect)


def pack(
    items: list[Item], batch: int, at: datetime, settings: SimulatorSettings, signature: Signature
) -> list[Delivery]:
    """Items as signed requests of one page each, up to `batch`, never more than ten."""
    size = min(batch, LARGEST_BATCH)
    packed = []
    by_page = sorted(items, key=lambda item: item.account_id)
    for _, group in groupby(by_page, key=lambda item: item.account_id):
        own = list(group)
        packed += [
            _delivery(own[start : start + size], settings, signature)
            for start in range(0, len(own), size)
        ]
    return packed


def _delivery(items: list[Item], settings: SimulatorSettings, signature: Signature) -> Delivery:
    body = compact({"type": KIND, "notifications": [item.content for item in items]})
    headers = {"content-type": "application/json"}
    if signature != "missing":
        right = settings.linkedin_client_secret
        secret = right if signature == "good" else f"not-{right}"
        headers["x-li-signature"] = signing.linkedin(secret, body)
    return Delivery("linkedin", "/webhooks/linkedin", body, headers, tuple(items))


def _activity(event: str, actor: str, activity: str, number: int, text: str) -> Json:
    if event == "LIKE":
        return {"generatedActivity": f"urn:li:like:({actor},{activity})"}
    if event in ("SHARE", "SHARE_MENTION"):
        share = f"urn:li:share:{number}"
        return {
            "generatedActivity": share,
            "decoratedGeneratedActivity": {
                "share": {"entity": share, "owner": actor, "text": text, "mediaCategory": "NONE"}
            },
        }
    comment = f"urn:li:comment:({activity},{number})"
    return {
        "generatedActivity": comment,
        "decoratedGeneratedActivity": {
            "comment": {"entity": comment, "owner": actor, "object": activity, "text": text}
        },
    }
