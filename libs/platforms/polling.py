"""What the four `poll` modules share: the round a page belongs to, and how far back posts go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.platforms.base import Facts, Observation, PollKind, Unavailable, Untranslatable, slot

# Posts gather nearly all they ever will within this time; older ones are not read again.
FOLLOWED = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Round:
    """One poll of one account, over all its pages: its slot stays that of the first page."""

    kind: PollKind
    slot: str
    now: datetime
    cursor: dict[str, Any]

    def observation(self, responses: dict[str, Any], post_id: str | None = None) -> Observation:
        key = ("poll", self.kind, self.slot, *(() if post_id is None else (post_id,)))
        observed_at = self.now.astimezone(UTC).isoformat()
        payload = {"observed_at": observed_at, "responses": responses}
        return Observation(self.kind, f"poll.{self.kind}", key, payload)

    def next_cursor(self, **position: Any) -> dict[str, Any]:
        return {"slot": self.slot, **position}


@contextmanager
def garbage_is_unavailable() -> Iterator[None]:
    """A reply of a shape that no `shapes` function can read is as good as none."""
    try:
        yield
    except Untranslatable:
        raise Unavailable("garbage") from None


def begin_or_resume(
    facts: Facts, kind: PollKind, cursor: dict[str, Any] | None, now: datetime
) -> Round:
    """The round that `cursor` belongs to, or a new one; raises ValueError for a kind not polled."""
    if kind not in facts.poll_every:
        raise ValueError(f"{facts.title} has no {kind} poll")
    begun = (cursor or {}).get("slot")
    this_slot = begun if isinstance(begun, str) else slot(now, facts.poll_every[kind])
    return Round(kind, this_slot, now, cursor or {})
