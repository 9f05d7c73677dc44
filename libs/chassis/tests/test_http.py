"""An application of the house over real HTTP: bad input, limits, request context."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request
from pydantic import BaseModel, SecretStr

from libs.chassis.errors import Conflict
from libs.chassis.http import MAX_BODY, StrictRoute, create_app, metadata_of
from libs.chassis.pages import decode_cursor
from libs.testing.serving import serve

CANARY = "hunter2-canary"


class Form(BaseModel):
    password: SecretStr
    number: float = 0
    whole: int = 0
    when: datetime | None = None


router = APIRouter(route_class=StrictRoute)


@router.post("/form")
async def form(form: Form) -> dict[str, Any]:
    return {"number": form.number}


@router.post("/conflict")
async def conflict() -> None:
    raise Conflict("read it again", current_version=3)


@router.post("/crash")
async def crash() -> None:
    raise RuntimeError(CANARY)


@router.get("/page")
async def page(cursor: str) -> list[Any]:
    return list(decode_cursor(cursor, int, str))


@router.get("/who")
async def who(request: Request) -> dict[str, Any]:
    metadata = metadata_of(request)
    return {
        "ip": metadata.ip,
        "user_agent": metadata.user_agent,
        "correlation_id": metadata.correlation_id,
        "traceparent": metadata.traceparent,
    }


async def ready() -> None:
    return None


async def broken() -> None:
    raise OSError(CANARY)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app("test", ready=ready, trusted_proxies=1)
    app.include_router(router)
    async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


def _is_problem(answer: httpx.Response, status: int, slug: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:rookery:problem:{slug}"
    assert body["status"] == status
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (b'{"password": "hunter2-canary", "number": NaN}', "invalid-json"),
        (b'{"password": "hunter2-canary", "number": 1e400}', "invalid-json"),
        (b'{"password": "hunter2-canary", "number": 1e131071}', "invalid-json"),
        (b'{"password": "hunter2-canary", "password": "b"}', "invalid-json"),
        (b'{"password": "hunter2-canary\\u0000"}', "invalid-json"),
        (b'{"password": "hunter2-canary\\ud800"}', "invalid-json"),
        (b'{"password": "hunter2-canary", "number": "\\ud800"}', "invalid-json"),
        (b'{"whole": ' + b"9" * 5_000 + b"}", "invalid-json"),
        (b"[" * 100_000, "invalid-json"),
        ('{"password": "hunter2-canary"}'.encode("utf-16"), "invalid-json"),
        (b'\xef\xbb\xbf{"password": "hunter2-canary"}', "invalid-json"),
        (b'{"password": "\xff"}', "invalid-json"),
        (b"{", "invalid-json"),
        (b'{"password": {"hunter2-canary": 1}}', "invalid-input"),
        (b'{"password": "x", "number": "hunter2-canary"}', "invalid-input"),
        (b'{"password": "x", "whole": 9223372036854775807.5}', "invalid-input"),
        (b'{"password": "x", "when": "10000-01-01T00:00:00Z"}', "invalid-input"),
    ],
)
async def test_bad_json_is_a_problem_that_does_not_repeat_it(
    client: httpx.AsyncClient, body: bytes, slug: str
) -> None:
    answer = await client.post("/form", content=body, headers={"content-type": "application/json"})
    _is_problem(answer, 422, slug)


async def test_a_compressed_body_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/form", content=b"\x1f\x8b", headers={"content-encoding": "gzip"})
    _is_problem(answer, 415, "unsupported-media")


async def test_a_large_body_is_refused_by_its_declared_length(client: httpx.AsyncClient) -> None:
    answer = await client.post("/form", content=b" " * (MAX_BODY + 1))
    _is_problem(answer, 413, "body-too-large")


async def test_a_chunked_body_is_counted_and_memory_stays_flat(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(4_000):
            sent += 65_536
            yield b" " * 65_536
            await asyncio.sleep(0)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        answer = await client.post(
            "/form", content=endless(), headers={"content-type": "application/json"}
        )
    except httpx.HTTPError:  # the server may close while we still send
        pass
    else:
        _is_problem(answer, 413, "body-too-large")
    assert sent < 4_000 * 65_536
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


async def test_own_errors_carry_slug_detail_and_members(client: httpx.AsyncClient) -> None:
    answer = await client.post("/conflict")
    _is_problem(answer, 409, "conflict")
    assert answer.json()["detail"] == "read it again"
    assert answer.json()["current_version"] == 3


async def test_a_crash_says_nothing_of_its_reason(client: httpx.AsyncClient) -> None:
    _is_problem(await client.post("/crash"), 500, "internal")


@pytest.mark.parametrize("path", ["/nothing", "/form"])
async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    status, slug = (404, "not-found") if path == "/nothing" else (405, "method-not-allowed")
    _is_problem(answer, status, slug)


@pytest.mark.parametrize("cursor", ["", "%%%", "W10", "bm8", "WzEsMl0", "eyJhIjoxfQ"])
async def test_a_cursor_that_is_none_of_ours_is_refused(
    client: httpx.AsyncClient, cursor: str
) -> None:
    answer = await client.get("/page", params={"cursor": cursor})
    if cursor == "WzEsMl0":  # [1, 2]
        assert answer.json() == [1, "2"]
    else:
        _is_problem(answer, 422, "invalid-input")


async def test_only_the_hop_that_our_proxy_wrote_is_believed(client: httpx.AsyncClient) -> None:
    answer = await client.get(
        "/who",
        headers={
            b"x-forwarded-for": b"6.6.6.6, 192.0.2.7",
            b"user-agent": b"agent\xad one" + b"x" * 1_000,
            b"x-request-id": b"0123456789abcdef",
            b"traceparent": b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",
        },
    )
    body = answer.json()
    assert body["ip"] == "192.0.2.7"
    assert body["user_agent"].startswith("agent one")
    assert len(body["user_agent"]) == 512
    assert body["correlation_id"] == answer.headers["x-request-id"] == "0123456789abcdef"
    assert body["traceparent"] == "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


async def test_bad_request_ids_and_traces_are_replaced(client: httpx.AsyncClient) -> None:
    answer = await client.get("/who", headers={"x-request-id": "a b", "traceparent": "nonsense"})
    body = answer.json()
    assert body["correlation_id"] == answer.headers["x-request-id"] != "a b"
    assert body["traceparent"].startswith("00-")
    assert body["ip"] == "127.0.0.1"


async def test_health_and_metrics_stand_on_the_services_own_port() -> None:
    app = create_app("test", ready=broken)
    async with serve(app) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        _is_problem(await client.get("/readyz"), 503, "unavailable")
        assert "python_info" in (await client.get("/metrics")).text
