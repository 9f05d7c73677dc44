"""Fills in `envoy.yaml`: `python -m deploy.gateway.render` prints it, from `ROOKERY_GATEWAY_*`.

The values that repeat (clusters, rate limits, error bodies) are written as JSON, which is YAML.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

SERVICES = ("identity", "accounts", "ingestion", "analytics", "audit")
_TYPE = "type.googleapis.com/envoy.extensions"
_TEMPLATE = Path(__file__).with_name("envoy.yaml")

# Status: slug, title. The slugs are those of the services' own errors.
_ERRORS = {
    400: ("bad-request", "The request is malformed"),
    401: ("unauthorized", "Sign in first"),
    403: ("forbidden", "Your role does not allow this"),
    404: ("not-found", "There is nothing here, or not for you"),
    408: ("request-timeout", "The request took too long to arrive"),
    413: ("body-too-large", "The body is larger than this endpoint takes"),
    429: ("too-many-requests", "Too many attempts; wait and try again"),
    431: ("headers-too-large", "The headers are larger than the gateway takes"),
    502: ("bad-gateway", "A part this needs gave no proper answer"),
    503: ("unavailable", "A part this needs is not answering; try again shortly"),
    504: ("timeout", "A part this needs took too long to answer"),
}


@dataclass(frozen=True)
class Gateway:
    """Everything that differs between installations.

    `services` maps each of `SERVICES` to `host:port`. `trusted_hops` is how many proxies of ours
    stand in front and append to X-Forwarded-For. The rates are requests a second of one client
    address, each with a burst of four seconds' worth; webhooks come from few addresses in floods. With a
    `metrics_port` (Linux only) that port of `host` answers `/metrics` for Prometheus; it must not
    be reachable from outside.
    """

    services: Mapping[str, str]
    host: str = "127.0.0.1"
    port: int = 8080
    issuer: str = "https://rookery.local"
    audience: str = "rookery"
    cors_origins: tuple[str, ...] = field(default=("http://localhost:3000",))
    trusted_hops: int = 0
    api_rate: int = 100
    auth_rate: int = 10
    webhook_rate: int = 20_000
    metrics_port: int = 0

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> "Gateway":
        """Read `ROOKERY_GATEWAY_<FIELD>`, `ROOKERY_ISSUER`, `ROOKERY_AUDIENCE` and, for each
        service, `ROOKERY_GATEWAY_<SERVICE>` as host:port (default `<service>:8000`)."""
        own = {name: env.get(f"ROOKERY_GATEWAY_{name.upper()}") for name in cls.__annotations__}
        given: dict[str, Any] = {k: v for k, v in own.items() if v is not None}
        for name in (
            "port",
            "trusted_hops",
            "api_rate",
            "auth_rate",
            "webhook_rate",
            "metrics_port",
        ):
            if name in given:
                given[name] = int(given[name])
        if "cors_origins" in given:
            given["cors_origins"] = tuple(given["cors_origins"].split())
        given["services"] = {
            name: env.get(f"ROOKERY_GATEWAY_{name.upper()}", f"{name}:8000") for name in SERVICES
        }
        for name in ("issuer", "audience"):
            if value := env.get(f"ROOKERY_{name.upper()}"):
                given[name] = value
        return cls(**given)


def render(gateway: Gateway) -> str:
    """The complete Envoy bootstrap. Raises KeyError when a service is missing."""
    clusters = [_cluster(name, gateway.services[name]) for name in SERVICES]
    admin: dict[str, Any] = {}
    listener = ""
    if gateway.metrics_port:
        # Envoy's whole administration is at this address, so it is one without a port, and the
        # listener shows one path of it.
        admin = {"address": {"pipe": {"path": f"@rookery-gateway-{gateway.port}"}}}
        clusters.append(_admin_cluster(admin["address"]))
        listener = "- " + json.dumps(_metrics(gateway.host, gateway.metrics_port))
    values = {
        "host": gateway.host,
        "port": gateway.port,
        "issuer": gateway.issuer,
        "audience": gateway.audience,
        "trusted_hops": gateway.trusted_hops,
        "cors_origins": json.dumps([{"exact": origin} for origin in gateway.cors_origins]),
        "mappers": json.dumps([_error(status, *text) for status, text in _ERRORS.items()]),
        "limit_api": json.dumps(_limit("api", gateway.api_rate)),
        "limit_auth": json.dumps(_limit("auth", gateway.auth_rate)),
        "limit_webhooks": json.dumps(_limit("webhooks", gateway.webhook_rate)),
        "clusters": json.dumps(clusters),
        "metrics_listener": listener,
        "admin": json.dumps(admin),
    }
    return Template(_TEMPLATE.read_text()).substitute(values)


def _limit(name: str, rate: int) -> dict[str, Any]:
    """A bucket for each client address, and one a hundred times as large for all together."""

    def bucket(tokens: int) -> dict[str, Any]:
        return {"max_tokens": 4 * tokens, "tokens_per_fill": tokens, "fill_interval": "1s"}

    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "@type": f"{_TYPE}.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": name,
        "filter_enabled": always,
        "filter_enforced": always,
        "token_bucket": bucket(100 * rate),
        "rate_limits": [{"actions": [{"remote_address": {}}]}],
        "descriptors": [{"entries": [{"key": "remote_address"}], "token_bucket": bucket(rate)}],
        "max_dynamic_descriptors": 10_000,
    }


def _error(status: int, slug: str, title: str) -> dict[str, Any]:
    headers = [{"header": {"key": "retry-after", "value": "1"}}] if status in {429, 503} else []
    return {
        "filter": {
            "status_code_filter": {
                "comparison": {
                    "op": "EQ",
                    "value": {"default_value": status, "runtime_key": f"gateway.error.{status}"},
                }
            }
        },
        "headers_to_add": headers,
        "body_format_override": {
            "content_type": "application/problem+json",
            "json_format": {
                "type": f"urn:rookery:problem:{slug}",
                "title": title,
                "status": status,
            },
        },
    }


def _cluster(name: str, address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    endpoint = {"address": {"socket_address": {"address": host, "port_value": int(port)}}}
    return {
        "name": name,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "2s",
        "circuit_breakers": {
            "thresholds": [{"max_connections": 1024, "max_pending_requests": 1024}]
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                # Below the services' own 75 s, so that Envoy never sends into a closing connection.
                "common_http_protocol_options": {"idle_timeout": "60s"},
            }
        },
    }


def _metrics(host: str, port: int) -> dict[str, Any]:
    route = {
        "match": {"path": "/metrics"},
        "route": {"cluster": "admin", "prefix_rewrite": "/stats/prometheus?usedonly"},
    }
    manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "metrics",
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": [route]}]
        },
    }
    name = "envoy.filters.network.http_connection_manager"
    return {
        "name": "metrics",
        "address": {"socket_address": {"address": host, "port_value": port}},
        "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
    }


def _admin_cluster(address: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "admin",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": "admin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


if __name__ == "__main__":
    sys.stdout.write(render(Gateway.from_environment()))
