"""docs/metrics.md, the code, the alerts and the dashboards say the same."""

import re

import pytest

from deploy.observability import dashboards
from deploy.observability.tests.inventory import (
    Metric,
    alerts,
    documented,
    registered,
    shown,
)

# Whatever would make as many series as there are customers, or name one.
_UNBOUNDED = {"account", "account_id", "workspace", "workspace_id", "user", "email", "path", "ip"}
_UNITS = ("_seconds", "_bytes", "_ratio", "_total", "_size", "_rows", "_messages")
# Plain counts of things, which their names say.
_COUNTS = {
    "rookery_accounts_tokens_overdue",
    "rookery_database_connections_in_use",
    "rookery_database_connections_limit",
    "rookery_http_requests_in_flight",
    "rookery_ingestion_append_queue_deliveries",
    "rookery_ingestion_polls_due",
    "rookery_ingestion_polls_running",
    "rookery_ingestion_polls_stopped",
    "rookery_reader_dead_letters_open",
    "rookery_reader_partitions",
    "rookery_reader_stopped_partitions",
    "rookery_relay_leading",
}


@pytest.fixture(scope="module")
def metrics() -> dict[str, Metric]:
    return registered()


def test_the_page_lists_what_the_services_measure(metrics: dict[str, Metric]) -> None:
    assert {name: metric for name, (metric, _) in documented().items()} == metrics


def test_the_page_names_the_alerts_that_use_each_metric() -> None:
    used = {
        name: {alert.name for alert in alerts() if name in alert.metrics} for name in documented()
    }
    assert {name: names for name, (_, names) in documented().items()} == used


def test_every_alert_and_dashboard_asks_for_what_exists(metrics: dict[str, Metric]) -> None:
    asked = {alert.name: alert.metrics for alert in alerts()} | shown()
    missing = {name: found - metrics.keys() for name, found in asked.items()}
    assert {name: found for name, found in missing.items() if found} == {}


def test_every_metric_is_shown_somewhere(metrics: dict[str, Metric]) -> None:
    assert metrics.keys() - set().union(*shown().values()) == set()


def test_names_have_units_and_labels_are_bounded(metrics: dict[str, Metric]) -> None:
    for name, metric in metrics.items():
        assert re.fullmatch(r"rookery_[a-z_]+", name)
        assert name.endswith(_UNITS) or name in _COUNTS, name
        assert not _UNBOUNDED & set(metric.labels), name


@pytest.mark.parametrize("name", sorted(dashboards.documents()))
def test_the_dashboards_are_as_they_are_written(name: str) -> None:
    written = (dashboards.FOLDER / name).read_text()
    assert written == dashboards.documents()[name], "run python -m deploy.observability.dashboards"
