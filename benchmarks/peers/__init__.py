"""Somebody else's software on the same work, and Rookery beside it.

Peers are in the lead where the work differs: the libraries are called in their own process, without
HTTP, signatures, accounts or duplicates to look for; they read their log in PostgreSQL itself, where
Rookery goes through a broker. SQLAlchemy's service has HTTP and signatures, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks import append, projection, relay, servers
from benchmarks.figures import Figure, Series
from benchmarks.peers import runs
from benchmarks.peers.install import Missing
from libs.testing.servers import PostgresServer

ONE, TEN = "one a commit", "ten a commit"
PROJECTED, READ = "read model", "bare reader"
# Of the libraries; some seconds each on two cores.
_EVENTS = {ONE: 6_000, TEN: 30_000, READ: 15_000}
_WEBHOOKS = {ONE: 6_000, TEN: 3_000}

Say = Callable[[str], None]
Round = Callable[[], Awaitable[dict[str, float]]]
Install = Callable[[PostgresServer], "runs.Library | runs.Web"]


async def measure(rounds: int, say: Say) -> list[Figure]:
    """Every peer's figures with Rookery's as the limit to stay below. Leaves out who cannot run."""
    ours = await _rookery(rounds, say)
    peers: dict[str, Install] = {
        "eventsourcing": runs.eventsourcing,
        "emmett": runs.emmett,
        "SQLAlchemy": runs.sqlalchemy,
    }
    ready: dict[str, Round] = {}
    found: dict[str, dict[str, list[float]]] = {}
    with servers.postgres() as postgres:
        for name, installed in peers.items():
            try:
                ready[name] = _round(await asyncio.to_thread(installed, postgres))
            except Missing as missing:
                say(f"{name} is left out: {missing}")
        for _ in range(rounds):
            for name, measured in ready.items():
                for work, rate in (await measured()).items():
                    found.setdefault(work, {}).setdefault(name, []).append(rate)
                    say(f"{work}: {name} {rate:,.0f}/s, Rookery {ours[work].median:,.0f}/s")
    return [
        Figure(
            *("peers", f"{work}, {name}", "events/s", Series(name, rates)),
            limit=ours[work],
            better="lower",
            target=1.0,
            peer=True,
        )
        for work, by_peer in found.items()
        for name, rates in by_peer.items()
    ]


def _round(peer: runs.Library | runs.Web) -> Round:
    async def library(peer: runs.Library) -> dict[str, float]:
        rates = {
            ONE: await peer.append(_EVENTS[ONE], 1),
            TEN: await peer.append(_EVENTS[TEN], 10),
        }
        await peer.fill(_EVENTS[READ])
        return rates | {PROJECTED: await peer.project(), READ: await peer.read()}

    async def web(peer: runs.Web) -> dict[str, float]:
        return {
            ONE: await peer.append(_WEBHOOKS[ONE], 1),
            TEN: await peer.append(_WEBHOOKS[TEN], 10),
        }

    return lambda: web(peer) if isinstance(peer, runs.Web) else library(peer)


async def _rookery(rounds: int, say: Say) -> dict[str, Series]:
    """Our own figures of the same work, measured now."""
    figures = [
        *await append.measure(rounds, say),
        *await relay.measure(rounds, say),
        *await projection.measure(rounds, say, cases=("follower changes",)),
    ]
    rates = {figure.name: figure.measured.rounds for figure in figures}
    relayed, projected = rates["webhooks, translated"], rates["follower changes"]
    return {
        ONE: Series("Rookery", rates["webhooks, 1 change per body"]),
        TEN: Series("Rookery", rates["events, 10 changes per body"]),
        # One after the other and side by side: the slower of the two sets the pace.
        PROJECTED: Series("Rookery", [min(pair) for pair in zip(relayed, projected, strict=True)]),
        READ: Series("Rookery", relayed),
    }
