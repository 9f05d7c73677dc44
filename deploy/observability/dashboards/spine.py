"""From append to rows: the log, the relay, the readers."""

from deploy.observability.dashboards.panel import Panel, one, quantiles

TITLE = "Rookery: from append to rows"
PANELS = (
    Panel(
        "Append queue",
        (
            ("sum(rookery_ingestion_append_queue_deliveries)", "deliveries"),
            ("sum(rookery_ingestion_append_queue_bytes) / 1024", "KiB"),
        ),
    ),
    quantiles("Wait for a commit", "rookery_ingestion_append_wait_seconds", "instance"),
    quantiles("Commit", "rookery_ingestion_commit_duration_seconds", "instance"),
    quantiles("Rows a commit", "rookery_ingestion_batch_rows", "instance", "short"),
    one(
        "Repeats dropped",
        "sum by (platform) (rate(rookery_ingestion_duplicates_total[5m]))",
        "{{platform}}",
        "cps",
    ),
    Panel(
        "Quarantine, in and out",
        (
            (
                "sum by (reason) (rate(rookery_ingestion_quarantined_total[5m]))",
                "in: {{reason}}",
            ),
            ("sum(rate(rookery_ingestion_released_total[5m]))", "out"),
        ),
        "cps",
    ),
    one(
        "Events relayed",
        "sum by (relay) (rate(rookery_relay_events_total[5m]))",
        "{{relay}}",
        "cps",
    ),
    one(
        "Rows not relayed",
        "max by (relay) (rookery_relay_lag_rows)",
        "{{relay}}",
        note="Counted up to 100000.",
    ),
    quantiles("Broker's acknowledgement", "rookery_relay_send_duration_seconds", "relay"),
    quantiles("From event to acknowledgement", "rookery_relay_delay_seconds", "relay"),
    quantiles("Rows read at once", "rookery_relay_batch_size", "relay", "short"),
    one(
        "Since the last acknowledgement",
        "time() - max by (relay) (rookery_relay_last_acknowledged_timestamp_seconds)",
        "{{relay}}",
        "s",
        "Of interest only where rows wait.",
    ),
    one(
        "Age of the horizon",
        "max by (relay) (rookery_relay_horizon_age_seconds)",
        "{{relay}}",
        "s",
    ),
    Panel(
        "Leaders and troubles",
        (
            ("sum by (relay) (rookery_relay_leading)", "leads: {{relay}}"),
            (
                "sum by (relay) (increase(rookery_relay_interruptions_total[5m]))",
                "interrupted: {{relay}}",
            ),
            (
                "sum by (relay) (increase(rookery_relay_refeeds_total[5m]))",
                "fed again: {{relay}}",
            ),
            (
                "sum by (relay) (increase(rookery_relay_untold_total[5m]))",
                "untold: {{relay}}",
            ),
        ),
    ),
    one(
        "Events applied",
        "sum by (reader) (rate(rookery_reader_events_total[5m]))",
        "{{reader}}",
        "cps",
    ),
    one("Messages not read", "sum by (reader) (rookery_reader_lag_messages)", "{{reader}}"),
    quantiles("From event to rows", "rookery_reader_delay_seconds", "reader"),
    quantiles("A batch's transaction", "rookery_reader_batch_duration_seconds", "reader"),
    quantiles("Messages a batch", "rookery_reader_batch_size", "reader", "short"),
    one(
        "Since the last progress",
        "time() - max by (reader) (rookery_reader_last_progress_timestamp_seconds)",
        "{{reader}}",
        "s",
        "Of interest only where messages wait.",
    ),
    Panel(
        "Readers' troubles",
        (
            (
                "sum by (reader) (increase(rookery_reader_retries_total[5m]))",
                "tried again: {{reader}}",
            ),
            (
                "sum by (reader) (increase(rookery_reader_interruptions_total[5m]))",
                "interrupted: {{reader}}",
            ),
            (
                "sum by (reader) (increase(rookery_reader_rewinds_total[5m]))",
                "read again: {{reader}}",
            ),
            ("sum by (reader) (rookery_reader_stopped_partitions)", "stopped: {{reader}}"),
        ),
    ),
    one(
        "Since the last error",
        "time() - max by (reader) (rookery_reader_last_error_timestamp_seconds > 0)",
        "{{reader}}",
        "s",
        "Empty while there was none.",
    ),
    Panel(
        "Set aside and passed over",
        (
            (
                "sum by (reader) (rate(rookery_reader_dead_letters_total[5m]))",
                "dead: {{reader}}",
            ),
            (
                "sum by (reader) (rate(rookery_reader_duplicates_total[5m]))",
                "repeats: {{reader}}",
            ),
        ),
        "cps",
    ),
    one("Partitions held", "sum by (reader) (rookery_reader_partitions)", "{{reader}}"),
)
