"""What waits in ingestion's tables, as gauges."""

from __future__ import annotations

from prometheus_client import Gauge

from libs.chassis.counting import DEAD_LETTERS, Tally

# As in `poll_schedule.claim`: neither stopped, nor paused, nor under way, and of a live account.
_WAITING = """
FROM poll_schedule s
JOIN account_routes r ON r.account_id = s.account_id AND r.active AND NOT r.alias
LEFT JOIN poll_pauses p ON p.platform = s.platform AND p.until > %(now)s
WHERE s.next_at <= %(now)s AND p.until IS NULL
  AND (s.stopped_at IS NULL OR s.stopped_at < r.connected_at)
  AND (s.lease_until IS NULL OR s.lease_until <= %(now)s)
ORDER BY s.next_at LIMIT 10000
"""

POLLS_DUE = Tally(
    Gauge(
        "rookery_ingestion_polls_due",
        "Polls that are due and wait for their turn, counted up to 10000",
        ["platform"],
    ),
    f"SELECT platform, count(*) FROM (SELECT s.platform {_WAITING}) AS d GROUP BY platform",
)
POLLS_OVERDUE = Tally(
    Gauge(
        "rookery_ingestion_polls_overdue_seconds",
        "How long the poll that waits longest is overdue",
        ["platform"],
    ),
    f"""
    SELECT platform, extract(epoch FROM %(now)s::timestamptz - min(next_at))::float8
    FROM (SELECT s.platform, s.next_at {_WAITING}) AS d GROUP BY platform
    """,
)
POLLS_STOPPED = Tally(
    Gauge(
        "rookery_ingestion_polls_stopped",
        "Polls that wait for a person to reconnect the account, counted up to 10000",
        ["platform"],
    ),
    """
    SELECT platform, count(*)
    FROM (SELECT platform FROM poll_schedule WHERE stopped_at IS NOT NULL LIMIT 10000) AS s
    GROUP BY platform
    """,
)
PAUSES = Tally(
    Gauge(
        "rookery_ingestion_polls_paused_seconds",
        "For how long a platform's rate limit still keeps us from polling any of its accounts",
        ["platform"],
    ),
    """
    SELECT platform, greatest(0, extract(epoch FROM until - %(now)s::timestamptz))::float8
    FROM poll_pauses
    """,
)
TALLIES = (DEAD_LETTERS, POLLS_DUE, POLLS_OVERDUE, POLLS_STOPPED, PAUSES)
