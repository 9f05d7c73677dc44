"""The stacks that the end-to-end tests run against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.installation import Installation
from libs.testing.fixtures import own_broker, own_postgres


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The spine on servers of its own, for one module of tests to break.

    Its logs are in pytest's folder, which keeps those of the last runs.
    """
    with own_postgres() as postgres, own_broker() as broker:
        running = Installation(tmp_path_factory.mktemp("installation"), postgres, broker)
        try:
            running.start()
            yield running
        finally:
            running.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--soak` and `--seed`."""
    parser.addoption("--soak", type=float, default=0.75, help="how many minutes of random faults")
    parser.addoption("--seed", type=int, default=1, help="which random faults")


def pytest_report_header(config: pytest.Config) -> str:
    """Say before anything else which faults these are."""
    return f"random faults: --seed {config.getoption('--seed')}"
