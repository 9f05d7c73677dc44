"""A storm that goes on, with the books balanced again and again."""

from __future__ import annotations

import time
from collections import Counter

from harness import storm
from harness.drill import Drill, rebuilt_alike, run
from harness.installation import Installation
from harness.ledger import Books
from harness.load import Attempt, Load
from services.ingestion.group_commit import DEADLINE_SECONDS

# So long it storms before everything is well again for a moment and the books must balance.
SPELL_SECONDS = 60.0
# After PostgreSQL is back, until every process has connected again.
GRACE_SECONDS = 10.0


class Soak:
    """Spells of random faults on an installation with a cluster, each with accounts of its own."""

    def __init__(self, installation: Installation, books: Books, *, seed: int) -> None:
        """Prints the seed, by which the same faults can be chosen again."""
        self._installation = installation
        self._books = books
        self._storm = storm.Storm(
            storm.everything(installation), seed, spare=storm.replicas(installation)
        )
        self._seed = seed
        self._sent = 0
        self._events = 0
        self._recoveries: list[float] = []
        print(f"\nsoak: seed {seed}", flush=True)

    async def run(self, seconds: float) -> None:
        """Storm for so long, then rebuild every projection and compare.

        Raises AssertionError when an invariant does not hold; prints the faults then.
        """
        began = time.monotonic()
        try:
            while (left := seconds - (time.monotonic() - began)) > 0:
                await self._spell(min(SPELL_SECONDS, left))
                elapsed = time.monotonic() - began
                print(f"  {elapsed / 60:.1f} of {seconds / 60:.1f} minutes", flush=True)
            await rebuilt_alike(await Drill.of(self._installation, self._books))
        except BaseException:
            print(f"soak: seed {self._seed} failed after\n{self._storm.timeline()}", flush=True)
            raise
        kinds = Counter(strike.target.split("-")[0] for strike in self._storm.strikes)
        print(
            f"soak: {self._sent} requests, {self._events} events, "
            f"{len(self._storm.strikes)} faults ({dict(kinds)}); all applied after"
            f" {sorted(round(each, 1) for each in self._recoveries)} s",
            flush=True,
        )

    async def _spell(self, seconds: float) -> None:
        drill = await Drill.of(self._installation, self._books)
        strikes: list[storm.Strike] = []

        async def blow(_: Drill) -> None:
            strikes.extend(await self._storm.blow(seconds))

        recovery = await run(drill, blow)
        self._refused_only_with_reason(drill.load)
        self._sent += len(drill.load.attempts)
        events = len(await self._books.logged(drill.load.accounts))
        self._events += events
        self._recoveries.append(recovery)
        print(
            f"  {len(drill.load.attempts)} requests {dict(drill.load.counted)}, {events} events,"
            f" {len(strikes)} faults, all applied {recovery:.1f} s after them",
            flush=True,
        )

    def _refused_only_with_reason(self, load: Load) -> None:
        assert load.statuses <= {200, 503, None}
        unexplained = [attempt for attempt in load.lost if not self._excused(attempt)]
        assert not unexplained, f"{len(unexplained)} refused, such as {unexplained[:3]}"

    def _excused(self, attempt: Attempt) -> bool:
        """Without PostgreSQL, or by a process that slept beyond its deadline and could not know."""
        ended = attempt.began + attempt.seconds
        if self._storm.during("postgres", attempt.began, ended, grace=GRACE_SECONDS):
            return True
        return attempt.seconds > DEADLINE_SECONDS and any(
            self._storm.during(f"ingestion-{number}", attempt.began, ended, grace=0)
            for number, _ in enumerate(self._installation.fleet["ingestion"], start=1)
        )
