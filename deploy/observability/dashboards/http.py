"""Requests, as services and gateway see them."""

from deploy.observability.dashboards.panel import Panel, one, quantiles

_HTTP = "rookery_http_request_duration_seconds"

TITLE = "Rookery: HTTP"
PANELS = (
    one("Requests", f"sum by (service) (rate({_HTTP}_count[5m]))", "{{service}}", "reqps"),
    one("By status", f"sum by (status) (rate({_HTTP}_count[5m]))", "{{status}}", "reqps"),
    quantiles("Duration", _HTTP, "service"),
    one(
        "Slowest routes (p99)",
        f"topk(10, histogram_quantile(0.99, sum by (le, service, route) (rate({_HTTP}_bucket[5m]))))",
        "{{service}} {{route}}",
        "s",
    ),
    one("In flight", "sum by (service) (rookery_http_requests_in_flight)", "{{service}}"),
    Panel(
        "Database connections",
        (
            ("max by (pool) (rookery_database_connections_in_use)", "{{pool}}"),
            ("max by (pool) (rookery_database_connections_limit)", "limit {{pool}}"),
        ),
    ),
    one(
        "Guesses refused",
        "sum by (kind) (rate(rookery_identity_throttled_total[5m]))",
        "{{kind}}",
        "reqps",
    ),
    one(
        "Turned away by the gateway",
        "sum by (envoy_local_http_ratelimit_prefix) (rate(envoy_http_local_rate_limit_rate_limited[5m]))",
        "{{envoy_local_http_ratelimit_prefix}}",
        "reqps",
    ),
    one(
        "Gateway's answers",
        'sum by (envoy_response_code_class) (rate(envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="gateway"}[5m]))',
        "{{envoy_response_code_class}}xx",
        "reqps",
    ),
    one(
        "Rows without a month",
        "max by (table) (rookery_default_partition_rows)",
        "{{table}}",
    ),
)
