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
BATCH_DURATION = Histogram(
    "rookery_reader_batch_duration_seconds", "A batch's transaction, commit included", ["reader"]
)
DELAY = Histogram(
    "rookery_reader_delay_seconds",
    "From an event's time to its rows, for the first of each batch",
    ["reader"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600),
)
LAST_PROGRESS = Gauge(
    "rookery_reader_last_progress_timestamp_seconds",
    "When a batch was last committed, or partitions were given",
    ["reader"],
)
LAST_ERROR = Gauge(
    "rookery_reader_last_error_timestamp_seconds", "When something last failed", ["reader"]
)
INTERRUPTIONS = Counter(
    "rookery_reader_interruptions_total", "Times the consumer was made anew", ["reader"]
)
BATCHES = Histogram(
    "rookery_reader_batch_size",
    "Messages per batch",
    ["reader"],
    buckets=(1, 10, 100, 500, 1000, 2000, 4000),
)


def begin(reader: str) -> None:
    """Show these as 0: the first of them would not be an increase otherwise. Idempotent."""
    for metric in (APPLIED, DUPLICATES, DEAD, RETRIES, REWINDS, INTERRUPTIONS, LAST_ERROR):
        metric.labels(reader)
