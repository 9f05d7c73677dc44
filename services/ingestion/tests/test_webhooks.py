"""Webhooks over HTTP: proof of the sender, splitting, dedupe, and what happens to poison."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from libs.contracts.accounts import PlatformName
from libs.platforms.tests.vectors import SIGNED_REQUEST, VECTORS, Vector
from libs.testing.databases import DatabaseOf
from services.ingestion.tests.conftest import Start
from services.ingestion.tests.support import (
    SIGNED_AT,
    Running,
    comment,
    instagram,
    signed,
    signed_request,
    x_follow,
)

IG = "17841400000000001"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.platform)
async def test_a_published_vector_is_accepted(running: Running, vector: Vector) -> None:
    answer = await running.send(vector.platform, vector.body, vector.headers)
    assert (answer.status_code, answer.content) == (200, b"")
    [row] = await running.quarantine()  # nobody connected these accounts
    assert row["platform"] == vector.platform


@pytest.mark.parametrize(
    ("platform", "user"), [("instagram", IG), ("tiktok", "open-1"), ("x", "2244994945")]
)
async def test_a_vector_of_a_connected_account_is_in_the_log(
    running: Running, platform: PlatformName, user: str
) -> None:
    account = await running.connect(platform, user)
    [vector] = [vector for vector in VECTORS if vector.platform == platform]
    answer = await running.send(platform, vector.body, vector.headers)
    assert answer.status_code == 200
    [row] = await running.events()
    assert row["social_account_id"] == account.id
    assert row["workspace_id"] == account.workspace_id
    assert row["platform"] == platform
    assert row["received_at"] == SIGNED_AT
    assert set(row["metadata"]) == {"correlation_id", "traceparent"}
    assert await running.quarantine() == []


async def test_the_trace_of_the_request_is_kept(running: Running) -> None:
    await running.connect("x", "1")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = x_follow("1", 1)
    await running.send("x", body, {**signed("x", body), "traceparent": trace})
    [row] = await running.events()
    assert row["metadata"]["traceparent"] == trace


class TestHandshakes:
    async def test_instagram(self, running: Running) -> None:
        query = {
            "hub.mode": "subscribe",
            "hub.verify_token": "ig-verify-token",
            "hub.challenge": "1158201444",
        }
        answer = await running.http.get(f"{running.url}/webhooks/instagram", params=query)
        assert (answer.status_code, answer.content) == (200, b"1158201444")
        assert answer.headers["content-type"].startswith("text/plain")
        wrong = {**query, "hub.verify_token": "guess"}
        answer = await running.http.get(f"{running.url}/webhooks/instagram", params=wrong)
        assert answer.status_code == 403

    async def test_linkedin(self, running: Running) -> None:
        code = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
        answer = await running.http.get(
            f"{running.url}/webhooks/linkedin", params={"challengeCode": code}
        )
        assert answer.status_code == 200
        assert answer.json() == {
            "challengeCode": code,
            "challengeResponse": "313e20a5110164b82333ba6cb7cdad9e864a8e809bb93b22935d24b57f42823f",
        }

    async def test_x(self, running: Running) -> None:
        answer = await running.http.get(
            f"{running.url}/webhooks/x", params={"crc_token": "crc-token-123"}
        )
        assert answer.json() == {
            "response_token": "sha256=YUsT0aLbF0VtFGcLCND1EU/aQP0sjPL19cPulVY7Wes="
        }

    @pytest.mark.parametrize("platform", ["instagram", "tiktok", "linkedin", "x"])
    async def test_a_get_without_one_is_refused(self, running: Running, platform: str) -> None:
        answer = await running.http.get(f"{running.url}/webhooks/{platform}")
        assert answer.status_code == 400
        assert answer.json()["type"] == "urn:rookery:problem:not-a-handshake"

    async def test_an_unknown_platform_is_not_found(self, running: Running) -> None:
        for method in ("GET", "POST"):
            answer = await running.http.request(method, f"{running.url}/webhooks/myspace")
            assert answer.status_code == 404


class TestSenders:
    @pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.platform)
    async def test_every_wrong_proof_gets_one_answer_and_leaves_no_row(
        self, running: Running, start: Start, vector: Vector
    ) -> None:
        name, body, good = vector.platform, vector.body, vector.signature
        other = signed("x" if name != "x" else "instagram", body)
        attempts: list[dict[str, str]] = [
            {},
            {vector.header: ""},
            {vector.header: good[:-4]},
            {vector.header: good[:-4] + "abcd"},
            signed(name, body, secret=""),
            signed(name, body, secret="another tenant's"),
            signed(name, body + b" "),
            other,
        ]
        answers = [await running.send(name, body, headers) for headers in attempts]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.content for answer in answers}) == 1
        assert await running.events() == await running.quarantine() == []

    async def test_a_retired_secret_no_longer_proves_anything(
        self, start: Start, database_of: DatabaseOf
    ) -> None:
        body = x_follow("1", 1)
        urls = database_of("ingestion")
        async with start(urls, x_webhook_secrets="new,old") as running:
            for secret in ("old", "new"):
                answer = await running.send("x", body, signed("x", body, secret=secret))
                assert answer.status_code == 200
        async with start(urls, x_webhook_secrets="new") as running:
            answer = await running.send("x", body, signed("x", body, secret="old"))
            assert answer.status_code == 401

    async def test_a_platform_without_a_secret_refuses_all(
        self, start: Start, database_of: DatabaseOf
    ) -> None:
        async with start(database_of("ingestion"), x_webhook_secrets="") as running:
            body = x_follow("1", 1)
            assert (await running.send("x", body, signed("x", body, secret=""))).status_code == 401

    @pytest.mark.parametrize("seconds", [-301, 301])
    async def test_a_tiktok_signature_of_another_time_is_refused(
        self, running: Running, seconds: int
    ) -> None:
        body = VECTORS[1].body
        at = running.clock.now() + timedelta(seconds=seconds)
        assert (await running.send("tiktok", body, signed("tiktok", body, at))).status_code == 401
        at = running.clock.now() + timedelta(seconds=seconds // 301 * 299)
        assert (await running.send("tiktok", body, signed("tiktok", body, at))).status_code == 200

    @pytest.mark.parametrize("time", ["NaN", "-1767225601", "1e9", "", "9" * 40])
    async def test_a_tiktok_time_that_is_none_is_refused(self, running: Running, time: str) -> None:
        body = VECTORS[1].body
        good = signed("tiktok", body)["tiktok-signature"]
        headers = {"tiktok-signature": f"t={time},{good.split(',')[1]}"}
        assert (await running.send("tiktok", body, headers)).status_code == 401


class TestDedupe:
    async def test_ten_identical_deliveries_at_once_are_one_row(self, running: Running) -> None:
        await running.connect("instagram", IG)
        body = instagram((IG, [comment(1)]))
        answers = await asyncio.gather(*(running.send("instagram", body) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(await running.events()) == 1

    async def test_a_replay_or_the_same_id_with_another_body_has_no_effect(
        self, running: Running
    ) -> None:
        await running.connect("instagram", IG)
        await running.send("instagram", instagram((IG, [comment(1, "first")])))
        running.clock.advance(timedelta(days=20))
        answer = await running.send("instagram", instagram((IG, [comment(1, "forged")])))
        assert answer.status_code == 200
        [row] = await running.events()
        assert row["payload"]["value"]["text"] == "first"

    async def test_a_batch_of_a_thousand_with_repeats_in_it(self, running: Running) -> None:
        await running.connect("instagram", IG)
        changes = [comment(number % 900) for number in range(1000)]
        assert (await running.send("instagram", instagram((IG, changes)))).status_code == 200
        rows = await running.events()
        assert [row["payload"]["value"]["id"] for row in rows] == [f"c{n}" for n in range(900)]

    async def test_reordered_deliveries_add_nothing(self, running: Running) -> None:
        await running.connect("instagram", IG)
        changes = [comment(number) for number in range(50)]
        bodies = [instagram((IG, changes)), instagram((IG, changes[::-1]))]
        await asyncio.gather(*(running.send("instagram", body) for body in bodies * 3))
        assert len(await running.events()) == 50


POISON: dict[str, tuple[bytes, str]] = {
    "nul": (rb'{"object":"instagram","entry":[{"a":"\u0000"}]}', "nul-character"),
    "raw nul": (b'{"object":"\x00"}', "not-json"),
    "lone surrogate": (rb'{"object":"\ud800"}', "lone-surrogate"),
    "NaN": (b'{"object":NaN}', "not-a-number"),
    "1e400": (b'{"object":1e400}', "number-too-large"),
    "1e131071": (b'{"object":1e131071}', "number-too-large"),
    "duplicate keys": (b'{"object":1,"object":2}', "duplicate-key"),
    "5,000 digits": (b'{"object":' + b"9" * 5000 + b"}", "number-too-large"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, "too-deep"),
    "depth 65": (b'{"a":' * 65 + b"1" + b"}" * 65, "too-deep"),
    "invalid UTF-8": (b'{"object":"\xff"}', "not-utf-8"),
    "UTF-16": ('{"object":"x"}'.encode("utf-16"), "not-utf-8"),
    "BOM": (b'\xef\xbb\xbf{"object":"x"}', "not-utf-8"),
    "empty": (b"", "not-json"),
    "truncated": (b'{"object":', "not-json"),
    "a list": (b"[]", "not-an-object"),
    "another shape": (b'{"hello":"world"}', "not-a-webhook"),
}


class TestPoison:
    @pytest.mark.parametrize("platform", ["instagram", "x"])
    @pytest.mark.parametrize("name", POISON)
    async def test_signed_poison_is_set_aside_with_its_bytes_and_acknowledged(
        self, running: Running, platform: str, name: str
    ) -> None:
        body, reason = POISON[name]
        for _ in range(3):  # retries do not pile up
            assert (await running.send(platform, body)).status_code == 200
        [row] = await running.quarantine()
        assert (row["reason"], bytes(row["body"])) == (reason, body)
        assert row["released_at"] is None
        assert any("signature" in header for header in row["headers"])
        assert await running.events() == []

    async def test_poison_does_not_hold_up_its_neighbours(self, running: Running) -> None:
        await running.connect("instagram", IG)
        good = [instagram((IG, [comment(number)])) for number in range(20)]
        bad = [body for body, _ in POISON.values()]
        sends = [running.send("instagram", body) for body in [*good[:10], *bad, *good[10:]]]
        answers = await asyncio.gather(*sends)
        assert {answer.status_code for answer in answers} == {200}
        assert len(await running.events()) == 20
        assert len(await running.quarantine()) == len(POISON)

    async def test_a_compressed_body_is_refused_unread(self, running: Running) -> None:
        bomb = gzip.compress(b"0" * 10_000_000)
        headers = {**signed("instagram", bomb), "content-encoding": "gzip"}
        assert (await running.send("instagram", bomb, headers)).status_code == 415
        assert await running.quarantine() == []

    async def test_a_body_that_is_too_large_is_refused(self, running: Running) -> None:
        body = b" " * (1024 * 1024 + 1)
        assert (await running.send("instagram", body)).status_code == 413

    async def test_a_chunked_body_without_end_is_refused_when_it_passes_the_limit(
        self, running: Running
    ) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 65_536
                yield b"0" * 65_536

        # The answer may reach us while we still write, or only the end of the connection does.
        try:
            answer = await running.http.post(f"{running.url}/webhooks/instagram", content=endless())
            assert answer.status_code == 413
        except httpx.TransportError:
            pass
        assert sent < 64 * 1024 * 1024
        assert (await running.send("instagram", b"{}")).status_code == 200


class TestAccounts:
    async def test_a_mixed_batch_goes_where_each_item_belongs(self, running: Running) -> None:
        ours, theirs = (
            await running.connect("instagram", "1"),
            await running.connect("instagram", "2"),
        )
        body = instagram(("1", [comment(1), comment(2)]), ("3", [comment(3)]), ("2", [comment(4)]))
        assert (await running.send("instagram", body)).status_code == 200
        rows = await running.events()
        assert [(row["social_account_id"], row["payload"]["value"]["id"]) for row in rows] == [
            (ours.id, "c1"),
            (ours.id, "c2"),
            (theirs.id, "c4"),
        ]
        [row] = await running.quarantine()
        assert (row["reason"], row["platform_user_id"], row["type"]) == (
            "unknown-account",
            "3",
            "comments",
        )

    async def test_an_item_that_names_no_account_is_set_aside_alone(self, running: Running) -> None:
        await running.connect("instagram", IG)
        body = orjson.dumps({"object": "instagram", "entry": [{"time": 1}, _entry(comment(1))]})
        assert (await running.send("instagram", body)).status_code == 200
        assert len(await running.events()) == 1
        [row] = await running.quarantine()
        assert (row["reason"], row["platform_user_id"]) == ("no-account", None)

    async def test_what_a_disconnected_account_gets_is_not_appended(self, running: Running) -> None:
        account = await running.connect("x", "1")
        await running.disconnect(account)
        await running.send("x", x_follow("1", 1))
        assert await running.events() == []
        [row] = await running.quarantine()
        assert row["reason"] == "account-disconnected"


def _entry(change: dict[str, Any]) -> dict[str, Any]:
    return {"id": IG, "time": 1, "changes": [change]}


class TestCallbacks:
    async def test_a_deauthorisation_is_in_the_log(self, running: Running) -> None:
        account = await running.connect("instagram", "900001")
        for _ in range(2):
            answer = await running.http.post(
                f"{running.url}/webhooks/instagram/deauthorize",
                data={"signed_request": SIGNED_REQUEST},
            )
            assert answer.status_code == 200
        [row] = await running.events()
        assert (row["type"], row["social_account_id"]) == ("deauthorize", account.id)

    async def test_a_deletion_request_gets_a_code_and_a_place_to_look(
        self, running: Running
    ) -> None:
        account = await running.connect("instagram", "900001")
        await running.disconnect(account)  # the request counts all the same
        url = f"{running.url}/webhooks/instagram/data-deletion"
        answers = [
            await running.http.post(url, data={"signed_request": SIGNED_REQUEST}) for _ in range(2)
        ]
        assert answers[0].json() == answers[1].json()
        receipt = answers[0].json()
        assert set(receipt) == {"url", "confirmation_code"}
        [row] = await running.events()
        assert row["payload"]["confirmation_code"] == receipt["confirmation_code"]
        place = receipt["url"].replace("http://127.0.0.1:8080", running.url)
        assert (await running.http.get(place)).json() == {
            "confirmation_code": receipt["confirmation_code"],
            "status": "received",
        }
        assert (await running.http.get(f"{url}/{'0' * 32}")).status_code == 404

    async def test_a_deletion_request_of_a_stranger_is_kept(self, running: Running) -> None:
        url = f"{running.url}/webhooks/instagram/data-deletion"
        answer = await running.http.post(url, data={"signed_request": SIGNED_REQUEST})
        code = answer.json()["confirmation_code"]
        assert (await running.http.get(f"{url}/{code}")).status_code == 200
        [row] = await running.quarantine()
        assert row["type"] == "data_deletion"

    @pytest.mark.parametrize(
        "form",
        [
            {},
            {"signed_request": ""},
            {"signed_request": SIGNED_REQUEST[:-3]},
            {"signed_request": "x" + SIGNED_REQUEST},
            {"signed_request": signed_request({"user_id": "1"}, secret="other")},
        ],
    )
    async def test_a_forged_one_gets_the_answer_of_all_forgeries(
        self, running: Running, form: dict[str, str]
    ) -> None:
        forged = await running.send("instagram", b"{}", {})
        for path in ("deauthorize", "data-deletion"):
            answer = await running.http.post(f"{running.url}/webhooks/instagram/{path}", data=form)
            assert (answer.status_code, answer.content) == (401, forged.content)
        assert await running.events() == await running.quarantine() == []

    async def test_poison_in_a_signed_request_is_set_aside(self, running: Running) -> None:
        form = {"signed_request": signed_request({"user_id": "a\x00b", "issued_at": 1})}
        answer = await running.http.post(f"{running.url}/webhooks/instagram/deauthorize", data=form)
        assert answer.status_code == 200
        [row] = await running.quarantine()
        assert row["reason"] == "nul-character"


async def test_what_was_received_repeated_and_set_aside_is_counted(running: Running) -> None:
    async def counted() -> dict[str, float]:
        lines = (await running.http.get(f"{running.url}/metrics")).text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("rookery_ingestion_"))
        return {name: float(value) for name, value in pairs}

    await running.connect("x", "1")
    before = await counted()
    for body in (x_follow("1", "a"), x_follow("1", "a"), x_follow("2", "b"), b"poison"):
        await running.send("x", body)
    await running.send("x", b"{}", {})
    after = await counted()
    for name, more in {
        'rookery_ingestion_webhooks_total{outcome="accepted",platform="x"}': 3,
        'rookery_ingestion_webhooks_total{outcome="set-aside",platform="x"}': 1,
        'rookery_ingestion_webhooks_total{outcome="bad-signature",platform="x"}': 1,
        'rookery_ingestion_events_total{platform="x"}': 1,
        'rookery_ingestion_duplicates_total{platform="x"}': 1,
        'rookery_ingestion_quarantined_total{platform="x",reason="unknown-account"}': 1,
        'rookery_ingestion_quarantined_total{platform="x",reason="not-json"}': 1,
        "rookery_ingestion_batch_rows_count": 4,
    }.items():
        assert after[name] - before.get(name, 0) == more, name


async def test_every_address_is_described(running: Running) -> None:
    paths = running.service.app.openapi()["paths"]
    described = {
        path for path, methods in paths.items() if all(m["summary"] for m in methods.values())
    }
    assert described == {
        "/webhooks/{platform}",
        "/webhooks/instagram/deauthorize",
        "/webhooks/instagram/data-deletion",
        "/webhooks/instagram/data-deletion/{code}",
        "/v1/workspaces/{ws}/events",
        "/internal/backfill",
    }
