"""What an event costs as the log, the accounts and the partitions grow: processor time, not rates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks import append, relay
from benchmarks.figures import Figure, Series

ROWS = 1_000_000
ACCOUNTS = 100_000
PARTITIONS = 48


async def measure(rounds: int, say: Callable[[str], None]) -> list[Figure]:
    """Each cost beside that of a small installation: an empty log, 100 accounts, 6 partitions."""
    small = await append.event_costs(rounds, accounts=append.ACCOUNTS, rows=0)
    figures: list[Figure] = []
    for what, accounts, rows in (
        (f"{ROWS:,} rows in the log", append.ACCOUNTS, ROWS),
        (f"{ACCOUNTS:,} accounts", ACCOUNTS, 0),
    ):
        large = await append.event_costs(rounds, accounts=accounts, rows=rows)
        figures += [_figure(f"append, {what}: {name}", large[name], small[name]) for name in small]
        say(f"append with {what} measured")
    few = await relay.event_costs(rounds, partitions=6)
    many = await relay.event_costs(rounds, partitions=PARTITIONS)
    what = f"relay, {PARTITIONS} partitions"
    figures += [_figure(f"{what}: {name}", many[name], few[name]) for name in few]
    return figures


def _figure(name: str, large: Series, small: Series) -> Figure:
    beside = replace(small, name="small")
    return Figure("growth", name, "µs/event", large, beside, better="lower")
