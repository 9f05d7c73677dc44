"""A migrated database for each test that asks, cloned from a template made once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.database import create_engine
from libs.chassis.migrate import upgrade
from libs.chassis.provision import ROLES, ServiceUrls, provision
from libs.testing.servers import Postgres

SERVICES = Path(__file__).parents[2] / "services"
DatabaseOf = Callable[[str], ServiceUrls]


@pytest.fixture(scope="session")
def database_templates() -> dict[tuple[str, str], ServiceUrls]:
    """Templates made so far in this run, by server and service."""
    return {}


@pytest.fixture
def database_of(
    postgres: Postgres, database_templates: dict[tuple[str, str], ServiceUrls]
) -> DatabaseOf:
    """`database_of("accounts")`: a fresh database, migrated, under its three roles."""

    def make(service: str) -> ServiceUrls:
        return clone(postgres.url, service, database_templates)

    return make


def clone(
    superuser_url: str, service: str, templates: dict[tuple[str, str], ServiceUrls]
) -> ServiceUrls:
    """A new copy of the service's migrated template on that server. Blocks."""
    key = (superuser_url, service)
    if key not in templates:
        template = f"template_{service}_{uuid4().hex[:8]}"
        urls = provision(superuser_url, service, dict.fromkeys(ROLES, "test"), database=template)
        upgrade(SERVICES / service / "migrations", urls.owner)
        templates[key] = urls
    urls = templates[key]
    name = f"{service}_{uuid4().hex[:12]}"
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        template_name = make_url(urls.owner).database or ""
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name),
                sql.Identifier(template_name),
                sql.Identifier(f"{service}_owner"),
            )
        )
        connection.execute(
            sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
        )
        for role in ROLES:
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    sql.Identifier(name), sql.Identifier(f"{service}_{role}")
                )
            )
    return ServiceUrls(
        **{
            role: make_url(getattr(urls, role))
            .set(database=name)
            .render_as_string(hide_password=False)
            for role in ROLES
        }
    )


@pytest.fixture
async def engine_of() -> AsyncIterator[Callable[[str], AsyncEngine]]:
    """`engine_of(url)`: an engine that is closed when the test ends."""
    engines: list[AsyncEngine] = []

    def make(url: str) -> AsyncEngine:
        engines.append(create_engine(url, name="test"))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.dispose()
