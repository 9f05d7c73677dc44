"""What waits in the tables of accounts, as gauges."""

from __future__ import annotations

from prometheus_client import Gauge

from libs.chassis.counting import DEAD_LETTERS, Tally

TOKENS_OVERDUE = Tally(
    Gauge(
        "rookery_accounts_tokens_overdue",
        "Tokens whose refresh is due since ten minutes or more, counted up to 10000",
        ["platform"],
    ),
    """
    SELECT platform, count(*)
    FROM (SELECT platform FROM oauth_tokens
          WHERE next_refresh_at <= %(now)s::timestamptz - interval '10 minutes' LIMIT 10000) AS t
    GROUP BY platform
    """,
)
TALLIES = (DEAD_LETTERS, TOKENS_OVERDUE)
