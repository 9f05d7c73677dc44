"""Instagram's webhooks: change items, batches of up to a thousand, signed requests (1.1, 1.2)."""

from datetime import datetime
from itertools import groupby
from random import Random
from urllib.parse import urlencode

from libs.simulator import signing
from libs.simulator.items import Delivery, Item, Signature, compact
from libs.simulator.people import Person, remark, stranger
from libs.simulator.settings import SimulatorSettings
from libs.simulator.wire import Json
from libs.simulator.world import World

LARGEST_BATCH = 1000
# What happens by itself; the other events are only sent when asked for.
COMMON = ("comments", "comments", "comments", "mentions")
EVENTS = (
    "comments",
    # The same item in the two other forms that were seen.
    "comments_flat",
    "comments_comment_id",
    "own_comment",
    "live_comments",
    "mentions",
    "story_insights",
    "deauthorize",
    "data_deletion",
)
_FORMS = {"deauthorize": "deauthorize", "data_deletion": "data-deletion"}


def make(world: World, person: Person, event: str, at: datetime, rng: Random) -> Item:
    """A new item of the event, fit for `pack`."""
    if event in _FORMS:
        return _item(person, event, {"user_id": person.member_id}, f"{event}|{person.member_id}")
    posts = world.recent(person, at)
    post = rng.choice(posts) if posts else None
    media_id = post.id if post else f"178{world.next_id() % 10**14:014d}"
    product = "REELS" if post and post.kind == "video" else "FEED"
    number = f"179{world.next_id()}"
    if event == "story_insights":
        reach = rng.randrange(40, 4000)
        story = f"180{world.next_id()}"
        value: Json = {
            "media_id": story,
            "exits": _few(reach // 9),
            "replies": _few(reach // 200),
            "reach": reach,
            "taps_forward": reach * 2,
            "taps_back": reach // 5,
            "impressions": reach * 5 // 4,
        }
        return _change(person, event, event, value, key=f"{story}|{int(at.timestamp())}")
    if event == "mentions":
        value = {"media_id": media_id}
        if rng.random() < 0.7:
            value["comment_id"] = number
        else:
            # A caption mention has no comment, so the post itself must be a new one.
            value["media_id"] = f"178{world.next_id()}"
        parts = [value["media_id"], *([number] if "comment_id" in value else [])]
        return _change(person, event, event, value, key="|".join(parts))
    field = "live_comments" if event == "live_comments" else "comments"
    media = {"id": media_id, "media_product_type": product}
    value = _comment(world, person, event, number=number, media=media, rng=rng)
    effect = (f"comments:{media_id}", 1) if post else None
    return _change(person, event, field, value, key=number, effect=effect)


def pack(
    items: list[Item], batch: int, at: datetime, settings: SimulatorSettings, signature: Signature
) -> list[Delivery]:
    """Items as signed requests: up to `batch` changes each, grouped by account into entries."""
    changes = [item for item in items if item.event not in _FORMS]
    size = min(batch, LARGEST_BATCH)
    packed = [
        _changes(changes[start : start + size], at, settings, signature)
        for start in range(0, len(changes), size)
    ]
    forms = [item for item in items if item.event in _FORMS]
    return packed + [_form(item, at, settings, signature) for item in forms]


def _changes(
    items: list[Item], at: datetime, settings: SimulatorSettings, signature: Signature
) -> Delivery:
    sent = int(at.timestamp())
    entries: list[Json] = []
    for account_id, group in groupby(items, key=lambda item: item.account_id):
        entry: Json = {"id": account_id, "time": sent, "changes": []}
        for item in group:
            if item.event == "comments_flat":
                entries.append({"id": account_id, "time": sent, **item.content})
            else:
                entry["changes"].append(item.content)
        if entry["changes"]:
            entries.append(entry)
    # Meta escapes slashes and everything beyond ASCII, and signs the result.
    body = compact({"object": "instagram", "entry": entries}, ascii_only=True)
    body = body.replace(b"/", b"\\/")
    headers = {"content-type": "application/json", "user-agent": "facebookexternalua"}
    if signature != "missing":
        secret = _key(settings, signature)
        headers["x-hub-signature-256"] = signing.instagram(secret, body)
    return Delivery("instagram", "/webhooks/instagram", body, headers, tuple(items))


def _form(item: Item, at: datetime, settings: SimulatorSettings, signature: Signature) -> Delivery:
    payload = {
        "algorithm": "HMAC-SHA256",
        "issued_at": int(at.timestamp()),
        "user_id": item.content["user_id"],
    }
    signed = signing.signed_request(_key(settings, signature), payload)
    if signature == "missing":
        signed = "." + signed.partition(".")[2]
    body = urlencode({"signed_request": signed}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    path = f"/webhooks/instagram/{_FORMS[item.event]}"
    return Delivery("instagram", path, body, headers, (item,))


def _key(settings: SimulatorSettings, signature: Signature) -> str:
    right = settings.instagram_client_secret
    return right if signature != "wrong" else f"not-{right}"


def _comment(
    world: World, person: Person, event: str, *, number: str, media: Json, rng: Random
) -> Json:
    if event == "own_comment":
        sender: Json = {
            "id": person.account_id,
            "username": person.handle,
            "self_ig_scoped_id": person.member_id,
        }
    else:
        who = stranger(world.seed, rng.randrange(50_000))
        sender = {"id": who.id, "username": who.handle}
    name = "comment_id" if event == "comments_comment_id" else "id"
    value: Json = {name: number, "from": sender, "media": media}
    if rng.random() < 0.2:
        value["parent_id"] = f"179{rng.randrange(10**14)}"
    value["text"] = remark(world.seed, number)
    return value


def _change(
    person: Person,
    event: str,
    field: str,
    value: Json,
    *,
    key: str,
    effect: tuple[str, int] | None = None,
) -> Item:
    content = {"field": field, "value": value}
    return _item(person, event, content, f"{person.account_id}|{field}|{key}", effect)


def _item(
    person: Person, event: str, content: Json, dedupe: str, effect: tuple[str, int] | None = None
) -> Item:
    return Item("instagram", person.handle, person.account_id, event, dedupe, content, effect)


def _few(count: int) -> int:
    """Counts below five are hidden as -1."""
    return count if count >= 5 else -1
