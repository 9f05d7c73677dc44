"""The spans of what a reader has taken in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from libs.messaging.tracing import Processed, place_of, record_batch, recording
from libs.projections.dead_letters import DeadLetter
from libs.projections.sift import Sifted


def trace_batch(
    sifted: Sifted,
    *,
    reader: str,
    place: tuple[str, int],
    letters: Sequence[DeadLetter],
    messages: int,
    seconds: float,
) -> None:
    """Write the spans of a committed batch, if this process records and an event is sampled.

    `place` is topic and partition, `messages` all that were fetched; it took `seconds` until now.
    """
    if not recording():
        return
    now = datetime.now(UTC)
    traced = []
    for record, received in zip(sifted.records, sifted.events, strict=True):
        envelope = received.envelope
        parent = place_of(envelope.metadata.traceparent, envelope.time, now)
        if parent is not None:
            traced.append(Processed(parent, envelope.id, envelope.type, record.offset))
    if traced:
        dead = {letter.event_id for letter in letters if letter.event_id is not None}
        record_batch(reader, place, traced, dead=dead, messages=messages, seconds=seconds)
