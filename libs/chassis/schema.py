"""Words for migrations: grants and row-level security, said the same way in every service."""

from __future__ import annotations

WORKSPACE = "nullif(current_setting('rookery.workspace_id', true), '')::uuid"
USER = "nullif(current_setting('rookery.user_id', true), '')::uuid"


def grant(table: str, *, service: str, app: str = "", worker: str = "") -> list[str]:
    """Statements that give the two working roles just these privileges, e.g. `app="SELECT"`."""
    statements = [f"REVOKE ALL ON {table} FROM PUBLIC"]
    for role, privileges in ((f"{service}_app", app), (f"{service}_worker", worker)):
        if privileges:
            statements.append(f"GRANT {privileges} ON {table} TO {role}")
    return statements


def isolate(table: str, *, service: str, using: str | None = None) -> list[str]:
    """Statements that show the app role only its tenant's rows, and the worker role all.

    `using` is the condition; by default the row's `workspace_id` is the transaction's. FORCE makes
    the rule bind the table's owner too.
    """
    condition = using or f"workspace_id = {WORKSPACE}"
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        (
            f"CREATE POLICY tenant ON {table} TO {service}_app"
            f" USING ({condition}) WITH CHECK ({condition})"
        ),
        f"CREATE POLICY worker ON {table} TO {service}_worker USING (true) WITH CHECK (true)",
    ]
