"""TikTok's webhooks: one event per request, its content a JSON string inside JSON (2.1, 2.2)."""

import json
from datetime import datetime
from random import Random

from libs.simulator import signing
from libs.simulator.items import Delivery, Item, Signature, compact
from libs.simulator.people import Person
from libs.simulator.settings import SimulatorSettings
from libs.simulator.wire import Json
from libs.simulator.world import World

LARGEST_BATCH = 1
COMMON = (
    "post.publish.complete",
    "post.publish.publicly_available",
    "post.publish.complete",
    "post.publish.failed",
)
EVENTS = (
    "authorization.removed",
    "post.publish.failed",
    "post.publish.complete",
    "post.publish.inbox_delivered",
    "post.publish.publicly_available",
    # The typo is TikTok's.
    "post.publish.no_longer_publicaly_available",
)
_REASONS = ("internal", "video_pull_failed", "file_format_check_failed", "spam_risk")


def make(world: World, person: Person, event: str, at: datetime, rng: Random) -> Item:
    """A new item of the event, fit for `pack`."""
    created = int(at.timestamp())
    number = world.next_id()
    content: Json
    if event == "authorization.removed":
        content = {"reason": 1}
        parts: list[str] = []
    else:
        publish_id = f"v_pub_url~v2.{number}"
        kind = "INBOX_SHARE" if event.endswith("inbox_delivered") else "DIRECT_PUBLISH"
        content = {"publish_id": publish_id, "publish_type": kind}
        parts = [publish_id]
        if event.endswith("available"):
            posts = world.recent(person, at)
            content["post_id"] = rng.choice(posts).id if posts else str(created << 32)
            parts.append(content["post_id"])
        elif event.endswith("failed"):
            content["reason"] = rng.choice(_REASONS)
    dedupe = "|".join([event, person.account_id, *parts, str(created)])
    body = {"event": event, "create_time": created, "content": content}
    return Item("tiktok", person.handle, person.account_id, event, dedupe, body)


def pack(
    items: list[Item], batch: int, at: datetime, settings: SimulatorSettings, signature: Signature
) -> list[Delivery]:
    """One signed request per item, whatever `batch` says; `at` is the signed timestamp."""
    return [_delivery(item, at, settings, signature) for item in items]


def _delivery(
    item: Item, at: datetime, settings: SimulatorSettings, signature: Signature
) -> Delivery:
    body = compact(
        {
            "client_key": settings.tiktok_client_key,
            "event": item.event,
            "create_time": item.content["create_time"],
            "user_openid": item.account_id,
            "content": json.dumps(item.content["content"], separators=(",", ":")),
        }
    )
    headers = {"content-type": "application/json"}
    if signature != "missing":
        right = settings.tiktok_client_secret
        secret = right if signature == "good" else f"not-{right}"
        headers["tiktok-signature"] = signing.tiktok(secret, body, int(at.timestamp()))
    return Delivery("tiktok", "/webhooks/tiktok", body, headers, (item,))
