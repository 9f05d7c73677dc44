"""Rate limits, and a service that is not there: each on a gateway of its own."""

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from deploy.gateway.render import SERVICES, Gateway, render
from libs.testing.servers import free_port

from .conftest import Running, running
from .test_gateway import problem


def _passed(gateway: Running, path: str, address: str, count: int = 30) -> int:
    headers = {"x-forwarded-for": address}
    answers = [gateway.get(path, headers=headers) for _ in range(count)]
    for answer in answers:
        if answer.status_code != 200:
            problem(answer, 429, "too-many-requests")
            assert answer.headers["retry-after"] == "1"
    return sum(answer.status_code == 200 for answer in answers)


def test_each_client_has_its_own_limits_and_webhooks_one_of_their_own(tmp_path: Path) -> None:
    # Each allows a burst of four seconds' worth; a slow machine may earn a few more meanwhile.
    with running(tmp_path, trusted_hops=1, api_rate=4, auth_rate=1, webhook_rate=1000) as gateway:
        assert 4 <= _passed(gateway, "/v1/auth/login", "10.0.0.1") < 12
        assert 16 <= _passed(gateway, "/v1/me", "10.0.0.1") < 30
        assert 4 <= _passed(gateway, "/v1/auth/login", "10.0.0.2") < 12
        assert _passed(gateway, "/webhooks/x", "10.0.0.1") == 30


def test_prometheus_sees_what_was_limited_and_nothing_of_the_administration(
    tmp_path: Path,
) -> None:
    port = free_port()
    with running(tmp_path, api_rate=1, metrics_port=port) as gateway:
        _passed(gateway, "/v1/me", "10.0.0.1")
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        others = [
            httpx.get(f"http://127.0.0.1:{port}{path}").status_code
            for path in ("/", "/config_dump", "/metrics/../config_dump", "/quitquitquit")
        ]
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    [limited] = families["envoy_http_local_rate_limit_rate_limited"].samples
    assert limited.labels == {"envoy_local_http_ratelimit_prefix": "api"}
    assert limited.value >= 10
    assert "envoy_http_downstream_rq_xx" in families
    assert others == [404] * 4


def test_behind_a_trusted_proxy_the_client_is_the_one_it_saw(tmp_path: Path) -> None:
    with running(tmp_path, trusted_hops=1) as gateway:
        seen = gateway.get("/v1/me", headers={"x-forwarded-for": "6.6.6.6, 203.0.113.7"}).json()
    assert seen["headers"]["x-forwarded-for"] == "203.0.113.7"


def test_a_service_that_is_down_is_unavailable(tmp_path: Path) -> None:
    with running(tmp_path, down="audit") as gateway:
        answer = gateway.get("/ops/audit/health")
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"


def test_the_configuration_can_be_given_by_the_environment() -> None:
    gateway = Gateway.from_environment(
        {
            "ROOKERY_GATEWAY_PORT": "8081",
            "ROOKERY_GATEWAY_CORS_ORIGINS": "https://a.example https://b.example",
            "ROOKERY_GATEWAY_IDENTITY": "identity.internal:9000",
            "ROOKERY_ISSUER": "https://id.example",
        }
    )
    assert gateway.port == 8081
    assert gateway.cors_origins == ("https://a.example", "https://b.example")
    assert gateway.services["identity"] == "identity.internal:9000"
    assert gateway.services["audit"] == "audit:8000"
    assert set(gateway.services) == set(SERVICES)
    text = render(gateway)
    assert '"port_value": 9000' in text
    assert "https://id.example" in text
