"""What readers count."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

APPLIED = Counter("rookery_reader_events_total", "Events applied", ["reader"])
DUPLICATES = Counter("rookery_reader_duplicates_total", "Repeats passed over", ["reader"])
DEAD = Counter("rookery_reader_dead_letters_total", "Messages set aside", ["reader"])
RETRIES = Counter("rookery_reader_retries_total", "Batches tried again", ["reader"])
REWINDS = Counter(
    "rookery_reader_rewinds_total", "Partitions read again from the start", ["reader"]
)
STOPPED = Gauge("rookery_reader_stopped_partitions", "Partitions stopped by poison", ["reader"])
PARTITIONS = Gauge("rookery_reader_partitions", "Partitions this instance holds", ["reader"])
LAG = Gauge("rookery_reader_lag_messages", "Messages behind the end", ["reader", "partition"])
BATCHES = Histogram(
    "rookery_reader_batch_size",
    "Messages per batch",
    ["reader"],
    buckets=(1, 10, 100, 500, 1000, 2000, 4000),
)
