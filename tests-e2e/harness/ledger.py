"""The books: what the log holds, what was applied and how often, and whether they agree.

A trigger in the readers' databases writes down every committed write of a row, so that an event
applied twice shows even where the row hides it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.installation import Installation
from harness.load import Load
from harness.webhooks import MARK, Account
from libs.testing.serving import until

# Tables whose rows have the id of the event they were written for, and the writes that count.
APPLIED = {
    "analytics": {
        "follower_changes": "INSERT OR UPDATE",
        # Later snapshots may change what is worked out of the sums in earlier ones.
        "metrics_snapshots": "INSERT",
    },
    "audit": {"audit_logs": "INSERT OR UPDATE"},
}
# Read models that must come out the same when everything is read again.
REBUILT = {
    "analytics": (
        "accounts",
        "follower_changes",
        "metrics_snapshots",
        "top_content",
        "audience_insights",
    ),
    "audit": ("audit_logs",),
}
_LEDGER = """
CREATE TABLE ledger (
  n bigint GENERATED ALWAYS AS IDENTITY, book text NOT NULL, account uuid NOT NULL,
  key text NOT NULL
);
CREATE INDEX ON ledger (account, book);
CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE written jsonb := to_jsonb(NEW);
BEGIN
  INSERT INTO ledger (book, account, key) VALUES (TG_ARGV[0],
    coalesce(written ->> 'social_account_id', written ->> 'entity_id')::uuid, written ->> 'id');
  RETURN NULL;
END $$
"""
_LOGGED = f"""
SELECT id, social_account_id AS account, type, substring(payload::text FROM '{MARK}') AS mark
FROM events WHERE social_account_id = ANY(%s) ORDER BY xid, position
"""


class Books:
    """The logs and ledgers of an installation."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    async def open(self) -> None:
        """Put the triggers in place; before anything is applied."""
        for database, tables in APPLIED.items():
            async with await self._installation.open(database) as connection:
                await connection.execute(_LEDGER.encode())
                for table, writes in tables.items():
                    await connection.execute(
                        f"CREATE TRIGGER write_down AFTER {writes} ON {table} FOR EACH ROW"
                        f" EXECUTE FUNCTION write_down('{table}')".encode()
                    )

    async def rows(self, database: str, statement: str, *values: Any) -> list[Any]:
        """What the superuser sees."""
        async with await self._installation.open(database) as connection:
            return list(await (await connection.execute(statement.encode(), values)).fetchall())

    async def known(self, accounts: Iterable[Account]) -> None:
        """Wait until ingestion and analytics know the accounts."""
        ids = [account.id for account in accounts]

        async def everywhere() -> bool:
            routes = await self.rows(
                "ingestion", "SELECT 1 FROM account_routes WHERE account_id = ANY(%s)", ids
            )
            copies = await self.rows("analytics", "SELECT 1 FROM accounts WHERE id = ANY(%s)", ids)
            return len(routes) >= len(ids) and len(copies) == len(ids)

        await until(everywhere, timeout=60, what="the accounts known everywhere")

    async def logged(self, accounts: Sequence[Account]) -> list[Any]:
        """The rows of ingestion's log about these accounts, in its order."""
        return await self.rows("ingestion", _LOGGED, [account.id for account in accounts])

    async def relayed(self) -> tuple[int, int]:
        """The place in ingestion's log up to which all is on the topic."""
        [row] = await self.rows(
            "ingestion", "SELECT xid, position FROM relay_cursors WHERE relay = 'ingestion'"
        )
        return row.xid, row.position

    async def written(self, database: str, accounts: Sequence[Account]) -> dict[str, list[Any]]:
        """The ledger's lines about these accounts, by table, in the order of their writing."""
        lines = await self.rows(
            database,
            "SELECT book, account, key FROM ledger WHERE account = ANY(%s) ORDER BY n",
            [account.id for account in accounts],
        )
        books: dict[str, list[Any]] = {table: [] for table in APPLIED[database]}
        for line in lines:
            books[line.book].append(line)
        return books

    async def balance(self, load: Load, polled: Mapping[Account, int], *, within: float) -> None:
        """I1, I2, I3: every mark in the log once, every row of it applied once and in order.

        `polled` is how many observations were imported for an account. `within` seconds nothing
        may be missing any more (I8).
        """
        accounts = load.accounts
        logged = await self.logged(accounts)
        marked = Counter(row.mark for row in logged if row.mark is not None)
        _agree(marked, Counter(load.marks), "marks in the log")
        polls = Counter(row.account for row in logged if row.mark is None)
        _agree(polls, Counter({account.id: n for account, n in polled.items()}), "polls in the log")
        _in_order_of_acceptance(load, logged)
        await self.applied(accounts, logged, within=within)
        await self.clean()

    async def applied(
        self, accounts: Sequence[Account], logged: Sequence[Any], *, within: float
    ) -> None:
        """Wait until these rows of the log are applied everywhere: once, and in their order."""
        follows = [row for row in logged if str(row.type).startswith("follow.")]
        await self._applied_once(accounts, "analytics", "follower_changes", follows, within)
        snapshots = [row for row in logged if row.type == "poll.account"]
        await self._applied_once(accounts, "analytics", "metrics_snapshots", snapshots, within)
        await self._applied_once(accounts, "audit", "audit_logs", logged, within)

    async def same(self, database: str, other: str, *, within: float) -> None:
        """Wait until two databases of a service hold the same read models, and something."""

        async def alike() -> bool:
            return await self._models(database) == await self._models(other)

        await until(alike, timeout=within, every=0.5, what=f"{other} the same as {database}")
        models = await self._models(database)
        assert all(count for count, _ in models.values()), "an empty read model proves nothing"

    async def _models(self, database: str) -> dict[str, tuple[int, int]]:
        """Of each read model, how many rows it holds and a sum of their hashes."""
        models: dict[str, tuple[int, int]] = {}
        for table in REBUILT[database.removesuffix("_rebuilt")]:
            [row] = await self.rows(
                database,
                "SELECT count(*) AS rows, sum(hashtextextended(to_jsonb(t)::text, 0)) AS hashes"
                f" FROM {table} t",
            )
            models[table] = (row.rows, row.hashes)
        return models

    async def _applied_once(
        self,
        accounts: Sequence[Account],
        database: str,
        table: str,
        rows: Sequence[Any],
        within: float,
    ) -> None:
        wanted = {str(row.id) for row in rows}
        ids = [account.id for account in accounts]

        async def complete() -> bool:
            [found] = await self.rows(
                database,
                "SELECT count(DISTINCT key) AS keys FROM ledger"
                " WHERE account = ANY(%s) AND book = %s AND key = ANY(%s)",
                *(ids, table, list(wanted)),
            )
            return bool(found.keys == len(wanted))

        await until(complete, timeout=within, every=0.2, what=f"{table} up to date")
        written = await self.written(database, accounts)
        found = [line for line in written[table] if line.key in wanted]
        _agree(Counter(line.key for line in found), Counter(wanted), f"rows of {table}")
        for account in accounts:
            expected = [str(row.id) for row in rows if row.account == account.id]
            got = [line.key for line in found if line.account == account.id]
            assert got == expected, f"{table} was not written in the log's order"

    async def clean(self) -> None:
        """Nobody set anything aside."""
        for database in ("ingestion", "analytics", "audit"):
            assert not await self.rows(database, "SELECT * FROM dead_letters")
            stopped = "SELECT * FROM checkpoints WHERE stopped_reason IS NOT NULL"
            assert not await self.rows(database, stopped)
        assert not await self.rows("ingestion", "SELECT reason, body FROM quarantine")


def _in_order_of_acceptance(load: Load, logged: Sequence[Any]) -> None:
    place = {row.mark: number for number, row in enumerate(logged)}
    for marks in load.accepted.values():
        places = [place[mark] for mark in marks]
        assert places == sorted(places), "accepted one after the other, logged in another order"


def _agree(found: Counter[Any], expected: Counter[Any], what: str) -> None:
    missing, extra = expected - found, found - expected
    assert not missing, f"{what}: {len(missing)} missing, such as {list(missing)[:3]}"
    assert not extra, f"{what}: {len(extra)} too many, such as {list(extra.items())[:3]}"
