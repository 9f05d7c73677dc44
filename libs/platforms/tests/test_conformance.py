"""What every platform of the registry must do, whatever it is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.accounts import PlatformName
from libs.contracts.ingestion import (
    AccountMetricsObserved,
    AudienceObserved,
    PlatformEvent,
    PostMetricsObserved,
)
from libs.platforms.base import Change, Unsplittable, Untranslatable
from libs.platforms.registry import REAL_ENDPOINTS, simulated_endpoints
from libs.platforms.tests.support import ACCOUNT, NAMES, WORKSPACE, platforms, poll, raw
from libs.platforms.tests.webhook_samples import ACCOUNTS, SAMPLES, Sample

each_platform = pytest.mark.parametrize("name", NAMES)
each_sample = pytest.mark.parametrize(
    "sample", SAMPLES, ids=lambda sample: f"{sample.platform}-{sample.kind}"
)
METRICS = {
    "followers_count",
    "following_count",
    "posts_count",
    "reach",
    "impressions",
    "engagement_count",
    "profile_views",
}
POST_METRICS = {"likes_count", "comments_count", "shares_count", "saves_count", "reach"}
AUDIENCE = {"age_ranges", "genders", "countries", "cities", "active_hours", "active_days"}
POLLS = {
    "account": AccountMetricsObserved,
    "posts": PostMetricsObserved,
    "audience": AudienceObserved,
}


@each_platform
def test_a_platform_states_its_facts(name: PlatformName) -> None:
    facts = platforms()[name].facts
    assert facts.name == name
    assert facts.title
    assert facts.required_scopes <= set(facts.scopes)
    assert facts.metrics <= METRICS
    assert facts.post_metrics <= POST_METRICS
    assert facts.audience <= AUDIENCE
    assert bool(facts.audience) == ("audience" in facts.poll_every)
    assert {"account", "posts"} <= set(facts.poll_every)


@each_platform
def test_a_platform_has_real_and_simulated_endpoints(name: PlatformName) -> None:
    real, simulated = REAL_ENDPOINTS[name], simulated_endpoints("http://127.0.0.1:1/")[name]
    assert real.www.startswith("https://")
    assert real.api.startswith("https://")
    assert simulated.api == f"http://127.0.0.1:1/{name}-api"
    assert bool(real.graph) == bool(simulated.graph)


@each_platform
def test_people_are_sent_where_browsers_find_a_simulator(name: PlatformName) -> None:
    endpoints = simulated_endpoints("http://simulator:8000", "http://127.0.0.1:8090/")
    url = platforms(endpoints)[name].authorize_url(
        redirect_uri="https://a.example/cb", state="s", code_challenge="c" * 43
    )
    assert url.startswith(f"http://127.0.0.1:8090/{name}-www/")
    assert endpoints[name].www == f"http://simulator:8000/{name}-www"


@each_platform
def test_a_consent_address_carries_state_and_the_asked_scopes(name: PlatformName) -> None:
    platform = platforms()[name]
    url = platform.authorize_url(
        redirect_uri="https://a.example/cb?x=1", state="s&t", code_challenge="c" * 43
    )
    assert url.startswith(REAL_ENDPOINTS[name].www)
    assert "state=s%26t" in url
    assert "redirect_uri=https%3A%2F%2Fa.example%2Fcb%3Fx%3D1" in url
    assert all(scope in url for scope in platform.facts.scopes)
    assert ("code_challenge=" in url) == platform.facts.pkce
    one = platform.facts.scopes[0]
    narrow = platform.authorize_url(
        redirect_uri="https://a.example/cb", state="s", code_challenge="c", scopes=[one]
    )
    assert platform.facts.scopes[1] not in narrow


@each_sample
def test_a_sample_splits_into_one_change_of_its_account(sample: Sample) -> None:
    (change,) = platforms()[sample.platform].split(sample.document)
    assert change.platform_user_id == ACCOUNTS[sample.platform]
    assert change.type == sample.kind
    assert all(isinstance(part, str) for part in change.key)


@each_sample
def test_a_sample_translates_to_its_event(sample: Sample) -> None:
    platform = platforms()[sample.platform]
    (change,) = platform.split(sample.document)
    event = platform.translate(raw(sample.platform, change.type, change.payload))
    assert isinstance(event, PlatformEvent)
    assert type(event) is sample.event
    assert (event.account_id, event.workspace_id) == (ACCOUNT, WORKSPACE)
    assert event.platform == sample.platform
    assert {name: getattr(event, name) for name in sample.fields} == sample.fields


@each_sample
def test_translating_again_gives_the_same_event(sample: Sample) -> None:
    platform = platforms()[sample.platform]
    (change,) = platform.split(copy.deepcopy(sample.document))
    first = platform.translate(raw(sample.platform, change.type, change.payload))
    assert first == platform.translate(raw(sample.platform, change.type, change.payload))


@each_sample
def test_a_payload_without_its_substance_is_untranslatable_or_says_less(sample: Sample) -> None:
    """Whatever part is missing or of another shape, nothing but Untranslatable is raised."""
    platform = platforms()[sample.platform]
    (change,) = platform.split(sample.document)
    for damaged in _damaged(change.payload):
        try:
            platform.translate(raw(sample.platform, change.type, damaged))
        except Untranslatable:
            continue


_SHAPES: list[Any] = [None, [], {}, "x", -1, 0, True, 10**30, "\x00", [None], {"a": 1}]


def _damaged(value: Any) -> list[Any]:
    """The document with one of its parts, at any depth, left out or replaced."""
    if not isinstance(value, dict):
        return _SHAPES
    found: list[Any] = []
    for name, part in value.items():
        found.append({other: kept for other, kept in value.items() if other != name})
        found.extend({**value, name: bad} for bad in _damaged(part))
        found.extend({**value, name: bad} for bad in _SHAPES)
    return found


@each_platform
def test_an_unknown_type_is_untranslatable(name: PlatformName) -> None:
    with pytest.raises(Untranslatable):
        platforms()[name].translate(raw(name, "something.new", {}))


@each_platform
@pytest.mark.parametrize("document", [{}, {"object": "page", "entry": []}, {"entry": 1}])
def test_a_document_of_another_shape_is_unsplittable(
    name: PlatformName, document: dict[str, Any]
) -> None:
    with pytest.raises(Unsplittable):
        platforms()[name].split(document)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
known_keys = st.sampled_from(
    ["object", "entry", "data", "event", "content", "type", "notifications"]
) | st.sampled_from(
    ["for_user_id", "tweet_create_events", "follow_events", "replay_job_status", "user_event"]
)


@each_platform
@given(document=st.dictionaries(known_keys, json_values))
def test_whatever_the_document_splitting_raises_only_unsplittable(
    name: PlatformName, document: dict[str, Any]
) -> None:
    try:
        changes = platforms()[name].split(document)
    except Unsplittable:
        return
    for change in changes:
        assert isinstance(change, Change)
        assert 0 < len(change.type) <= 64


@each_platform
def test_the_kinds_of_poll_it_has_translate_and_others_do_not(name: PlatformName) -> None:
    platform = platforms()[name]
    for kind in POLLS:
        if kind not in platform.facts.poll_every:
            with pytest.raises(Untranslatable):
                platform.translate(poll(name, kind))


@each_platform
def test_an_account_poll_without_data_says_nothing_rather_than_zero(name: PlatformName) -> None:
    event = platforms()[name].translate(poll(name, "account"))
    assert isinstance(event, AccountMetricsObserved)
    assert {metric: getattr(event, metric) for metric in METRICS} == dict.fromkeys(METRICS)


@each_platform
@pytest.mark.parametrize("kind", list(POLLS))
def test_a_poll_without_its_frame_is_untranslatable(name: PlatformName, kind: str) -> None:
    platform = platforms()[name]
    payloads: list[dict[str, Any]] = [
        {},
        {"responses": []},
        {"responses": {}, "observed_at": "yesterday"},
    ]
    for payload in payloads:
        with pytest.raises(Untranslatable):
            platform.translate(raw(name, f"poll.{kind}", payload))
