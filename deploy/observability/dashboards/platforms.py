"""What the platforms let us do."""

from deploy.observability.dashboards.panel import Panel, one, quantiles

_PLATFORM = "rookery_platform_request_duration_seconds"

TITLE = "Rookery: platforms"
PANELS = (
    one(
        "Requests by outcome",
        f"sum by (platform, outcome) (rate({_PLATFORM}_count[5m]))",
        "{{platform}} {{outcome}}",
        "reqps",
    ),
    quantiles("How long platforms take", _PLATFORM, "platform"),
    one(
        "Rate limit used",
        "max by (platform) (rookery_platform_rate_limit_used_ratio)",
        "{{platform}}",
        "percentunit",
        "TikTok and LinkedIn do not say.",
    ),
    one(
        "Polls paused for",
        "max by (platform) (rookery_ingestion_polls_paused_seconds)",
        "{{platform}}",
        "s",
    ),
    one(
        "Polls by outcome",
        "sum by (outcome) (rate(rookery_ingestion_polls_total[5m]))",
        "{{outcome}}",
        "cps",
    ),
    one("Polls due", "max by (platform) (rookery_ingestion_polls_due)", "{{platform}}"),
    one(
        "Longest overdue",
        "max by (platform) (rookery_ingestion_polls_overdue_seconds)",
        "{{platform}}",
        "s",
    ),
    Panel(
        "Polls under way and stopped",
        (
            ("sum(rookery_ingestion_polls_running)", "under way"),
            (
                "max by (platform) (rookery_ingestion_polls_stopped)",
                "stopped: {{platform}}",
            ),
        ),
    ),
    one(
        "Token refreshes",
        "sum by (platform, outcome) (increase(rookery_accounts_token_refreshes_total[1h]))",
        "{{platform}} {{outcome}}",
    ),
    one(
        "Tokens overdue",
        "max by (platform) (rookery_accounts_tokens_overdue)",
        "{{platform}}",
    ),
    one(
        "Webhooks by platform",
        "sum by (platform, outcome) (rate(rookery_ingestion_webhooks_total[5m]))",
        "{{platform}} {{outcome}}",
        "reqps",
    ),
)
