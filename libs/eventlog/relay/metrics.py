"""What a relay counts; each series is labelled with the relay's name."""

from prometheus_client import Counter, Gauge, Histogram

RELAYED = Counter("rookery_relay_events_total", "Messages acknowledged by the broker", ["relay"])
UNTOLD = Counter("rookery_relay_untold_total", "Rows that could not be translated", ["relay"])
LEADING = Gauge("rookery_relay_leading", "1 where this process leads", ["relay"])
REFED = Counter(
    "rookery_relay_refeeds_total", "Times the topic was fed again from its beginning", ["relay"]
)
BATCHES = Histogram(
    "rookery_relay_batch_size",
    "Rows read at once",
    ["relay"],
    buckets=(1, 10, 100, 500, 1000, 2000),
)
SEND_DURATION = Histogram(
    "rookery_relay_send_duration_seconds",
    "From sending a batch to its last acknowledgement",
    ["relay"],
)
DELAY = Histogram(
    "rookery_relay_delay_seconds",
    "From an event's time to its acknowledgement, for the first of each batch",
    ["relay"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600),
)
LAST_ACKNOWLEDGED = Gauge(
    "rookery_relay_last_acknowledged_timestamp_seconds",
    "When the broker last acknowledged something",
    ["relay"],
)
LAG = Gauge("rookery_relay_lag_rows", "Rows behind the cursor, counted up to 100000", ["relay"])
INTERRUPTIONS = Counter(
    "rookery_relay_interruptions_total", "Times the database or the broker was lost", ["relay"]
)
HORIZON_AGE = Gauge(
    "rookery_relay_horizon_age_seconds",
    "Age of the oldest open write transaction, behind which the relay waits",
    ["relay"],
)


def begin(relay: str) -> None:
    """Show these as 0: the first of them would not be an increase otherwise. Idempotent."""
    for counter in (RELAYED, UNTOLD, REFED, INTERRUPTIONS):
        counter.labels(relay)
