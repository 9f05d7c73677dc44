"""One webhook is one trace, and nothing that is measured, traced or logged repeats what was said.

The services run as their users run them; a real OTLP receiver takes their spans.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.installation import Installation
from harness.webhooks import Account, signature, webhook
from libs.testing.fixtures import own_broker, own_postgres
from libs.testing.serving import until
from libs.testing.tracing import Collector, Received, collecting

SETTLED_SECONDS = 60.0
TRACE, GATEWAY_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# What a person, a platform or an attacker may have sent, each where it comes from.
CANARIES = (
    "canary-comment-text",
    "canary.person",
    "canary@example.org",
    "canary-password",
    "canary-bearer-token",
    "canary-signature",
    "canary-cookie",
    "canary-query",
    "canary-agent",
)


@dataclass(frozen=True)
class Watched:
    """An installation that reports to `collector`, and where its logs are."""

    installation: Installation
    collector: Collector
    logs: Path

    def url(self, service: str) -> str:
        return self.installation.instances[service].url

    async def known(self, account: Account) -> None:
        """Connect the account and wait until ingestion knows it."""
        await self.installation.connect([account])
        async with await self.installation.open("ingestion") as connection:

            async def there() -> object:
                found = await connection.execute(
                    "SELECT 1 FROM account_routes WHERE account_id = %s", [account.id]
                )
                return await found.fetchone()

            await until(there, timeout=SETTLED_SECONDS, what="the route")


@pytest.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with pytest.MonkeyPatch.context() as patch:
        async with collecting() as collector:
            patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
            patch.delenv("OTEL_TRACES_SAMPLER_ARG", raising=False)
            with own_postgres() as postgres, own_broker() as broker:
                installation = Installation(folder, postgres, broker)
                try:
                    installation.start()
                    yield Watched(installation, collector, folder)
                finally:
                    installation.stop()


def comment(account: Account, mark: str) -> bytes:
    """A webhook of one comment that says what no log should."""
    value = {
        "id": mark,
        "from": {"id": "77", "username": "canary.person"},
        "media": {"id": "178001", "media_product_type": "FEED"},
        "text": "canary-comment-text canary@example.org",
    }
    changes = [{"field": "comments", "value": value}]
    entry = {"id": account.user, "time": 1, "changes": changes}
    return json.dumps({"object": "instagram", "entry": [entry]}).encode()


async def send(watched: Watched, body: bytes, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        return await http.post(
            f"{watched.url('ingestion')}/webhooks/instagram?canary-query=1",
            content=body,
            headers={
                "content-type": "application/json",
                "user-agent": "canary-agent",
                "cookie": "s=canary-cookie",
                **signature("instagram", body),
                **headers,
            },
        )


def named(spans: list[Received], name: str, **attributes: str) -> list[Received]:
    return [
        span
        for span in spans
        if span.name == name
        and attributes.items()
        <= {key.replace(".", "_"): v for key, v in span.attributes.items()}.items()
    ]


async def test_a_webhook_is_one_trace_from_the_request_to_the_rows(watched: Watched) -> None:
    account = Account("x")
    await watched.known(account)
    # As the gateway sends it: named, and left open whether to record.
    traceparent = f"00-{TRACE}-{GATEWAY_SPAN}-00"
    follow = webhook(account)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        answer = await http.post(
            f"{watched.url('ingestion')}/webhooks/x",
            content=follow.body,
            headers={**follow.headers(), "traceparent": traceparent},
        )
    assert answer.status_code == 200
    readers = {"analytics.follower_changes", "audit.trail"}

    def whole() -> Any:
        spans = watched.collector.trace(TRACE)
        done = {span.attributes.get("messaging.consumer.group.name") for span in spans}
        return readers <= done and named(spans, "POST /webhooks/{platform}") and spans

    spans: list[Received] = await until(whole, timeout=SETTLED_SECONDS, what="the whole trace")
    [request] = named(spans, "POST /webhooks/{platform}")
    assert (request.service, request.kind, request.parent) == ("ingestion", "server", GATEWAY_SPAN)
    [append] = named(spans, "append")
    assert append.parent == request.span_id
    [sent] = named(spans, "send ingestion.events")
    assert (sent.service, sent.kind, sent.parent) == ("ingestion", "producer", request.span_id)
    processed = named(spans, "process ingestion.events")
    assert {span.parent for span in processed} == {sent.span_id}
    assert readers <= {span.attributes["messaging.consumer.group.name"] for span in processed}
    assert {span.service for span in processed} >= {"analytics", "audit"}
    for span in processed:
        assert span.attributes["cloudevents.event_id"] == sent.attributes["cloudevents.event_id"]
        assert span.attributes["messaging.kafka.offset"].isdigit()
    [commit] = [span for span in watched.collector.spans if append.span_id in span.links]
    assert commit.name == "commit batch"
    batches = {link for span in processed for link in span.links}
    assert batches <= {
        span.span_id for span in named(watched.collector.spans, "process batch ingestion.events")
    }
    assert not any(span.failed for span in spans)


async def test_nothing_that_was_said_is_measured_traced_or_logged(watched: Watched) -> None:
    account = Account("instagram")
    await watched.known(account)
    good, unknown = comment(account, "canary-1"), comment(Account("instagram"), "canary-2")
    assert (await send(watched, good)).status_code == 200
    assert (await send(watched, unknown)).status_code == 200
    broken = b'{"canary-comment-text": "canary@example.org"'
    assert (await send(watched, broken)).status_code == 200
    forged = await send(watched, good, **{"x-hub-signature-256": "sha256=canary-signature"})
    assert forged.status_code == 401
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        token = {"authorization": "Bearer canary-bearer-token"}
        for service in ("ingestion", "analytics", "audit"):
            path = f"{watched.url(service)}/v1/workspaces/{account.workspace_id}"
            for part in (
                "/summary",
                "/events?type=canary-query",
                "/audit-logs?cursor=canary-query",
            ):
                assert (await http.get(path + part, headers=token)).status_code in {401, 404, 422}
            refused = await http.post(f"{path}/canary@example.org", json={"p": "canary-password"})
            assert refused.status_code == 404
        seen = len(watched.collector.spans)
        await until(
            lambda: len(watched.collector.spans) > seen, timeout=SETTLED_SECONDS, what="spans"
        )
        pages = [
            (await http.get(f"{instance.url}/metrics")).text
            for instance in watched.installation.instances.values()
        ]
    logs = [path.read_text() for path in watched.logs.rglob("*.log")]
    assert sum("rookery_ingestion_webhooks_total" in page for page in pages) == 1
    assert any('"event":"starting"' in log for log in logs)
    said = [*pages, *logs, *(raw.decode("latin-1") for raw in watched.collector.raw)]
    for canary in (*CANARIES, *_secrets(watched)):
        found = [text[max(0, text.find(canary) - 200) :][:400] for text in said if canary in text]
        assert not found, canary


def _secrets(watched: Watched) -> Iterator[str]:
    """What the services were given to keep: passwords and keys in their environment."""
    for instance in watched.installation.instances.values():
        for name, value in instance.env.items():
            if name.endswith(("SECRET", "SECRETS", "KEYS", "PEPPER")) and len(value) > 8:
                yield value
            if name.endswith("DATABASE_URL"):
                yield value.partition("@")[0].rpartition(":")[2]


async def test_a_log_line_can_be_found_by_its_trace(watched: Watched) -> None:
    trace = "5" * 32
    await send(watched, b"{", traceparent=f"00-{trace}-{GATEWAY_SPAN}-01")
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(
            f"{watched.url('audit')}/metrics",
            headers={"traceparent": f"00-{trace}-{GATEWAY_SPAN}-01"},
        )
    assert answer.status_code == 200
    await until(lambda: watched.collector.trace(trace), timeout=SETTLED_SECONDS, what="spans")


async def test_a_relay_by_itself_shows_its_numbers(watched: Watched) -> None:
    instance = watched.installation.instances["accounts"]
    assert instance.argv[-1] == "relay"
    assert await instance.metric("rookery_relay_leading", relay="accounts") == 1
    assert await instance.metric("rookery_relay_lag_rows", relay="accounts") == 0
    async with httpx.AsyncClient(trust_env=False) as http:
        page = (await http.get(f"{instance.url}/metrics")).text
    # Shown before the first, which would be no increase otherwise.
    assert 'rookery_relay_refeeds_total{relay="accounts"} 0.0' in page
