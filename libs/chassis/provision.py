"""Databases and roles of the services: run once by whoever owns the server, safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from libs.chassis.database import libpq_url

ROLES = ("owner", "app", "worker")


@dataclass(frozen=True)
class ServiceUrls:
    """The same database under its three roles."""

    owner: str
    app: str
    worker: str


def provision(
    superuser_url: str, service: str, passwords: dict[str, str], *, database: str | None = None
) -> ServiceUrls:
    """Create the database and the three roles of `service` if they are missing, and set passwords.

    The database is named as the service unless `database` says otherwise (tests do).
    `passwords` is keyed by role: owner, app, worker. The working roles can neither create tables
    nor connect to another service's database. Blocks; idempotent. Returns the URLs to hand out.
    """
    base = make_url(libpq_url(superuser_url))
    database = database or service
    with psycopg.connect(libpq_url(superuser_url), autocommit=True) as connection:
        for role in ROLES:
            _ensure_role(connection, f"{service}_{role}", passwords[role])
        exists = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", [database]
        ).fetchone()
        if not exists:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                    sql.Identifier(database), sql.Identifier(f"{service}_owner")
                )
            )
        connection.execute(
            sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
        )
        for role in ROLES:
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    sql.Identifier(database), sql.Identifier(f"{service}_{role}")
                )
            )

    def url(role: str) -> str:
        return base.set(
            database=database, username=f"{service}_{role}", password=passwords[role]
        ).render_as_string(hide_password=False)

    with psycopg.connect(
        base.set(database=database).render_as_string(hide_password=False), autocommit=True
    ) as connection:
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        connection.execute(
            sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(f"{service}_owner"))
        )
        for role in ("app", "worker"):
            connection.execute(
                sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(
                    sql.Identifier(f"{service}_{role}")
                )
            )
    return ServiceUrls(owner=url("owner"), app=url("app"), worker=url("worker"))


def _ensure_role(
    connection: psycopg.Connection[tuple[object, ...]], role: str, password: str
) -> None:
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = sql.SQL("ALTER" if exists else "CREATE")
    connection.execute(
        sql.SQL(
            "{} ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD {}"
        ).format(verb, sql.Identifier(role), sql.Literal(password))
    )
