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
HORIZON_AGE = Gauge(
    "rookery_relay_horizon_age_seconds",
    "Age of the oldest open write transaction, behind which the relay waits",
    ["relay"],
)
