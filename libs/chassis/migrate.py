"""Alembic, one history per service, without an ini file.

A service's `migrations/` folder holds `env.py` (one line: `from libs.chassis.migrate import env;
env()`) and `versions/`. Migrations run as the owner role, under an advisory lock, so that two
starting at once do it once.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import create_engine, pool, text

from libs.chassis.database import sqlalchemy_url

_LOCK = 7_710_001


def upgrade(migrations: Path, owner_url: str) -> None:
    """Bring the database to the newest revision. Blocks; idempotent."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = owner_url
    command.upgrade(config, "head")


def env() -> None:
    """What Alembic runs for each command; called by a service's `migrations/env.py`."""
    engine = create_engine(
        sqlalchemy_url(context.config.attributes["url"]), poolclass=pool.NullPool
    )
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()
