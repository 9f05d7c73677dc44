"""What the gateway lets through, changes, refuses and answers itself."""

import contextlib
import http.client
import json
import re
import socket
import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from .conftest import Running, Signer

WS = "/v1/workspaces/7f9c1f0e-8f43-4a52-8c5f-3c1f6d7b8a90"
ACCOUNT = WS + "/accounts/2b1e8f57-1c55-4f0b-9a59-8df3f4b0c001"

ROUTES = {
    "/v1/auth/login": "identity",
    "/v1/me": "identity",
    "/v1/me/mfa/enroll": "identity",
    "/v1/workspaces": "identity",
    WS: "identity",
    WS + "/members": "identity",
    WS + "/members/7f9c1f0e-8f43-4a52-8c5f-3c1f6d7b8a90": "identity",
    WS + "/invitations": "identity",
    WS + "/api-keys": "identity",
    WS + "/accounts": "accounts",
    ACCOUNT: "accounts",
    WS + "/accounts/instagram/connect": "accounts",
    "/v1/oauth/tiktok/callback?code=c&state=s": "accounts",
    ACCOUNT + "/metrics?interval=day": "analytics",
    ACCOUNT + "/follower-changes": "analytics",
    ACCOUNT + "/top-content": "analytics",
    ACCOUNT + "/audience": "analytics",
    WS + "/summary": "analytics",
    WS + "/events?platform=x": "ingestion",
    "/webhooks/linkedin?challengeCode=1": "ingestion",
    WS + "/audit-logs": "audit",
    WS + "/audit-logs/verify": "audit",
    "/ops/identity/health": "identity",
    "/ops/accounts/lag": "accounts",
    "/ops/ingestion/lag": "ingestion",
    "/ops/analytics/rebuilds/1": "analytics",
    "/ops/audit/checkpoints": "audit",
}
OPEN = ["/v1/auth/login", "/v1/oauth/x/callback", "/webhooks/x", "/.well-known/jwks.json"]
SIGNED_IN = [p for p in ROUTES if not p.startswith(("/v1/auth/", "/v1/oauth/", "/webhooks/"))]


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:rookery:problem:{slug}"
    assert body["status"] == status
    assert body["title"]
    assert "server" not in answer.headers
    return body


@pytest.mark.parametrize("path", ROUTES)
def test_each_path_reaches_its_service_unchanged(gateway: Running, path: str) -> None:
    seen = gateway.get(path).json()
    assert (seen["service"], seen["path"]) == (ROUTES[path], path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/internal/backfill",
        "/v1/internal/backfill",
        "/v1/oauthx",
        "/webhooksx",
        WS + "/accounts/a/b/c",
        WS + "/metrics",
        "/ops",
        "/ops/simulator/health",
        "/.well-known/openid-configuration",
    ],
)
def test_what_is_not_in_the_api_is_not_there(gateway: Running, path: str) -> None:
    problem(gateway.get(path), 404, "not-found")


@pytest.mark.parametrize("path", OPEN)
def test_some_paths_need_no_token(gateway: Running, path: str) -> None:
    assert gateway.get(path, token="").status_code == 200


@pytest.mark.parametrize("path", SIGNED_IN)
def test_all_others_need_one(gateway: Running, path: str) -> None:
    problem(gateway.get(path, token=""), 401, "unauthorized")


def _unsigned() -> str:
    claims = {"iss": "https://rookery.local", "aud": "rookery", "exp": int(time.time()) + 60}
    return jwt.encode(claims, "", algorithm="none")


def _signed_with_the_public_key(signer: Signer) -> str:
    public = signer.key.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    claims = {"iss": "https://rookery.local", "aud": "rookery", "exp": int(time.time()) + 60}
    return jwt.encode(claims, public, algorithm="HS256", headers={"kid": "k1"})


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
    ],
    ids=str,
)
def test_issuer_audience_and_expiry_are_pinned(gateway: Running, changes: dict[str, Any]) -> None:
    answer = gateway.get("/v1/me", token=gateway.signer.token(**changes))
    if "aud" in changes:  # a token for somebody else: known, and not allowed here
        problem(answer, 403, "forbidden")
    else:
        problem(answer, 401, "unauthorized")


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_forged_tokens_are_refused(gateway: Running) -> None:
    good = gateway.signer.token()
    forged = [
        Signer().token(),
        _unsigned(),
        _signed_with_the_public_key(gateway.signer),
        good[:-4],
        "x",
    ]
    for token in forged:
        problem(gateway.get("/v1/me", token=token), 401, "unauthorized")


def test_a_token_in_the_query_does_not_count(gateway: Running) -> None:
    answer = gateway.get(f"/v1/me?access_token={gateway.signer.token()}", token="")
    problem(answer, 401, "unauthorized")


def test_the_service_gets_the_token_to_verify_again(gateway: Running) -> None:
    assert gateway.get("/v1/me").json()["headers"]["authorization"].startswith("Bearer ey")


def test_what_a_caller_says_about_itself_is_dropped(gateway: Running) -> None:
    sent = {
        "x-forwarded-for": "6.6.6.6",
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "https",
        "x-forwarded-user": "root",
        "x-envoy-original-path": "/internal",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-external-address": "6.6.6.6",
        "x-rookery-workspace": "all",
        "x-real-ip": "6.6.6.6",
        "forwarded": "for=6.6.6.6",
        "x-request-id": "mine",
    }
    headers = gateway.get("/v1/me", headers=sent).json()["headers"]
    ours = {name: headers[name] for name in ("x-forwarded-for", "x-forwarded-proto")}
    assert ours == {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http"}
    assert headers["x-request-id"] != "mine"
    left = set(sent) - set(ours) - {"x-request-id"}
    assert not left & set(headers)
    assert not any(name.startswith(("x-envoy", "x-rookery")) for name in headers)


def test_each_request_has_an_id_that_comes_back_with_the_answer(gateway: Running) -> None:
    first, second = gateway.get("/v1/me"), gateway.get("/v1/me")
    assert first.headers["x-request-id"] == first.json()["headers"]["x-request-id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert gateway.get("/nowhere").headers["x-request-id"]


@pytest.mark.parametrize(
    "given", ["", "junk", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]
)
def test_every_request_begins_a_trace_of_its_own(gateway: Running, given: str) -> None:
    said = {"traceparent": given, "tracestate": "them=1", "baggage": "them=1"}
    headers = gateway.get("/v1/me", headers=said).json()["headers"]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", headers["traceparent"])
    assert headers["traceparent"][3:35] == headers["x-request-id"].replace("-", "")
    assert not {"tracestate", "baggage"} & set(headers)


def test_the_answer_does_not_say_what_runs_here(gateway: Running) -> None:
    answer = gateway.get("/v1/me")
    assert not {"server", "x-powered-by", "x-envoy-upstream-service-time"} & set(answer.headers)


MIB = 1_048_576


def test_a_body_up_to_a_mebibyte_passes(gateway: Running) -> None:
    answer = gateway.call("POST", "/webhooks/x", content=b"a" * MIB)
    assert answer.json()["body"] == MIB


def test_a_larger_body_is_refused_also_when_its_length_is_not_told(gateway: Running) -> None:
    problem(gateway.call("POST", "/webhooks/x", content=b"a" * (MIB + 1)), 413, "body-too-large")

    link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    chunks = iter([b"a" * 65536] * 17)
    chunked = {"transfer-encoding": "chunked"}
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all is sent
        link.request("POST", "/webhooks/x", body=chunks, encode_chunked=True, headers=chunked)
    answer = link.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["type"] == "urn:rookery:problem:body-too-large"
    link.close()


@pytest.mark.parametrize(
    ("path", "arrives_as"),
    [
        ("/webhooks/./x", "/webhooks/x"),
        ("/webhooks//x", "/webhooks/x"),
        ("/v1/../webhooks/x", "/webhooks/x"),
        ("/webhooks/%78", "/webhooks/x"),
    ],
)
def test_paths_are_normalised_before_they_are_judged(
    gateway: Running, path: str, arrives_as: str
) -> None:
    link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    link.request("GET", path)
    assert json.loads(link.getresponse().read())["path"] == arrives_as
    link.close()


def test_a_guarded_path_in_disguise_is_still_guarded(gateway: Running) -> None:
    for path in ("/webhooks/../v1/me", "/webhooks/..//v1/me", "//v1/me", "/v1/auth/../me"):
        link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        link.request("GET", path)
        assert link.getresponse().status == 401
        link.close()


@pytest.mark.parametrize("path", ["/webhooks/..%2fv1/me", "/webhooks%5cx", "/v1/me%2F"])
def test_escaped_slashes_are_refused(gateway: Running, path: str) -> None:
    problem(gateway.get(path), 400, "bad-request")


def test_a_preflight_from_an_allowed_origin_is_answered_here(gateway: Running) -> None:
    ask = {"origin": "http://localhost:3000", "access-control-request-method": "PATCH"}
    answer = gateway.call("OPTIONS", WS, token="", headers=ask)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert not answer.content
    got = gateway.get("/v1/me", headers={"origin": "http://localhost:3000"})
    assert got.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "etag" in got.headers["access-control-expose-headers"]


def test_an_error_can_be_read_by_an_allowed_origin(gateway: Running) -> None:
    got = gateway.get("/v1/me", token="", headers={"origin": "http://localhost:3000"})
    assert got.headers["access-control-allow-origin"] == "http://localhost:3000"


def test_another_origin_gets_no_permission(gateway: Running) -> None:
    ask = {"origin": "https://evil.example", "access-control-request-method": "GET"}
    for answer in (
        gateway.call("OPTIONS", WS, token="", headers=ask),
        gateway.get("/v1/me", headers={"origin": "https://evil.example"}),
    ):
        assert "access-control-allow-origin" not in answer.headers


def test_headers_that_are_too_large_are_refused(gateway: Running) -> None:
    problem(gateway.get("/v1/me", headers={"x-long": "a" * 40_000}), 431, "headers-too-large")


def test_a_request_that_is_not_http_is_refused(gateway: Running) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as link:
        link.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert link.recv(4096).startswith(b"HTTP/1.1 400")


def test_a_webhook_that_takes_ten_seconds_is_given_up(gateway: Running) -> None:
    start = time.monotonic()
    problem(gateway.call("POST", "/webhooks/slow", content=b"{}"), 504, "timeout")
    assert 9.5 < time.monotonic() - start < 15
