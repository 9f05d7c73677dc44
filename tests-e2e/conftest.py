"""The stacks that the end-to-end tests run against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.installation import Installation
from libs.testing.fixtures import own_broker, own_postgres, scratch_folder


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """The spine on servers of its own, for one module of tests to break."""
    with scratch_folder() as folder, own_postgres() as postgres, own_broker() as broker:
        running = Installation(folder, postgres, broker)
        try:
            running.start()
            yield running
        finally:
            running.stop()
