"""Audit's database as fixtures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.provision import ServiceUrls
from libs.testing.databases import DatabaseOf


@pytest.fixture
def urls(database_of: DatabaseOf) -> ServiceUrls:
    """A migrated database."""
    return database_of("audit")


@pytest.fixture
def worker(urls: ServiceUrls, engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    """The database under the role that the trail is written with."""
    return engine_of(urls.worker)
