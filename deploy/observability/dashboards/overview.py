"""Whether all is well, at a glance."""

from deploy.observability.dashboards.panel import one, quantiles

_HTTP = "rookery_http_request_duration_seconds"

TITLE = "Rookery: overview"
PANELS = (
    one("Processes that answer", 'sum by (service) (up{job="rookery"})', "{{service}}"),
    one("Alerts firing", 'sum by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}"),
    one(
        "Events written to the log",
        "sum by (platform) (rate(rookery_ingestion_events_total[5m]))",
        "{{platform}}",
        "cps",
    ),
    one(
        "Webhooks by outcome",
        "sum by (outcome) (rate(rookery_ingestion_webhooks_total[5m]))",
        "{{outcome}}",
        "reqps",
    ),
    quantiles(
        "From event to rows",
        "rookery_reader_delay_seconds",
        "reader",
        note="Imports bring old events, which show as a long delay here.",
    ),
    one(
        "Answers with 5xx",
        f'sum by (service) (rate({_HTTP}_count{{status=~"5.."}}[5m]))',
        "{{service}}",
        "reqps",
    ),
    one("Rows not relayed", "max by (relay) (rookery_relay_lag_rows)", "{{relay}}"),
    one("Messages not read", "sum by (reader) (rookery_reader_lag_messages)", "{{reader}}"),
    one("Dead letters", "max by (reader) (rookery_reader_dead_letters_open)", "{{reader}}"),
    one("Quarantine", "max by (reason) (rookery_ingestion_quarantine_rows)", "{{reason}}"),
    one(
        "Memory",
        'sum by (service) (process_resident_memory_bytes{job="rookery"})',
        "{{service}}",
        "bytes",
    ),
    one(
        "Processor",
        'sum by (service) (rate(process_cpu_seconds_total{job="rookery"}[5m]))',
        "{{service}}",
        "percentunit",
    ),
)
