"""Webhooks of all four platforms, over HTTP at the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from libs.contracts.accounts import PlatformName
from libs.contracts.ingestion import (
    PlatformEvent,
)
from libs.platforms.base import Change
from libs.platforms.instagram import Instagram
from libs.platforms.tests.simulated import Simulated
from libs.platforms.tests.support import NAMES, raw

WEBHOOKS: dict[PlatformName, tuple[str, ...]] = {
    "instagram": (
        "comments",
        "comments_flat",
        "comments_comment_id",
        "own_comment",
        "live_comments",
        "mentions",
        "story_insights",
    ),
    "tiktok": (
        "authorization.removed",
        "post.publish.failed",
        "post.publish.complete",
        "post.publish.inbox_delivered",
        "post.publish.publicly_available",
        "post.publish.no_longer_publicaly_available",
    ),
    "linkedin": (
        "LIKE",
        "COMMENT",
        "SHARE",
        "SHARE_MENTION",
        "ADMIN_COMMENT",
        "COMMENT_EDIT",
        "COMMENT_DELETE",
    ),
    "x": (
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
    ),
}


async def received(
    simulated: Simulated, name: PlatformName, **wanted: Any
) -> tuple[list[Change], list[str]]:
    """The changes of the demo person's webhooks, verified, and the simulator's own keys."""
    platform = simulated.platforms[name]
    now = await simulated.now()
    wanted = {"platform": name, "handles": [(await simulated.person(name))["handle"]], **wanted}
    changes: list[Change] = []
    keys: list[str] = []
    for sent in await simulated.control("generate", wanted):
        body = sent["body"].encode()
        platform.verify({k.lower(): v for k, v in sent["headers"].items()}, body, now)
        changes += platform.split(orjson.loads(body))
        keys += [item["dedupe"] for item in sent["items"]]
    return changes, keys


def cases() -> Iterator[tuple[PlatformName, str]]:
    for name, events in WEBHOOKS.items():
        for event in events:
            yield name, event


@pytest.mark.parametrize(("name", "event"), list(cases()))
async def test_every_webhook_of_the_simulator_verifies_splits_and_translates(
    simulated: Simulated, name: PlatformName, event: str
) -> None:
    changes, keys = await received(simulated, name, event=event, count=5, batch=5, duplicates=1)
    assert len(changes) == len(keys)
    assert len({change.key for change in changes}) == len(set(keys))
    person = await simulated.person(name)
    for change in changes:
        prefix = "urn:li:organization:" if name == "linkedin" else ""
        assert change.platform_user_id == prefix + person["account_id"]
        said = simulated.platforms[name].translate(raw(name, change.type, change.payload))
        assert isinstance(said, PlatformEvent)
        assert said.occurred_at <= await simulated.now()


@pytest.mark.parametrize("name", NAMES)
async def test_mixed_webhooks_in_any_order_have_the_keys_of_the_simulator(
    simulated: Simulated, name: PlatformName
) -> None:
    changes, keys = await received(simulated, name, count=200, batch=50, duplicates=2, shuffle=True)
    assert len({change.key for change in changes}) == len(set(keys))


@pytest.mark.parametrize("event", ["deauthorize", "data_deletion"])
async def test_instagrams_callbacks_name_the_person_by_the_other_id(
    simulated: Simulated, event: str
) -> None:
    person = await simulated.person("instagram")
    platform = simulated.platforms["instagram"]
    assert isinstance(platform, Instagram)
    wanted = {"platform": "instagram", "event": event, "handles": [person["handle"]]}
    (sent,) = await simulated.control("generate", wanted)
    form = parse_qs(sent["body"])["signed_request"][0]
    change = (platform.deauthorisation if event == "deauthorize" else platform.data_deletion)(form)
    assert change.platform_user_id == person["member_id"]
    said = platform.translate(raw("instagram", change.type, change.payload))
    assert isinstance(said, PlatformEvent)
