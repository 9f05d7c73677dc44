"""Spans of sampled events on their way through a topic, by OpenTelemetry's messaging conventions.

A message carries the context of the span that sent it, so the trace of a webhook goes on through
the relay to each reader. Nothing of an event's data is in a span.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode

from libs.contracts import traces
from libs.messaging.producer import Message

# A topic that is fed again, or read again for a rebuild, must not begin the traces of months anew.
TRACED_FOR = timedelta(hours=1)
# What the SDK keeps of a span's links by default.
_LINKS = 128
_TRACER = trace.get_tracer("rookery.messaging")


def place_of(traceparent: str | None, happened_at: datetime, now: datetime) -> SpanContext | None:
    """The parent of an event's next span; None where no span is wanted, which is told quickly."""
    if traceparent is None or not traces.is_sampled(traceparent):
        return None
    if now - happened_at > TRACED_FOR:
        return None
    return traces.span_context(traceparent)


def recording() -> bool:
    """Whether this process records spans at all."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@contextmanager
def sending(
    topic: str, batches: Mapping[int, Sequence[Message]], traced: Sequence[tuple[int, int]]
) -> Iterator[None]:
    """Trace the messages at these places while the batches are sent inside.

    A place is a partition and an index in its batch. Each message there carries its own new span
    from now on, in place of the event's. What is raised inside fails the spans.
    """
    spans = _begin(topic, batches, traced) if traced and recording() else ()
    try:
        yield
    except BaseException as error:
        for span in spans:
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", type(error).__name__)
        raise
    finally:
        for span in spans:
            span.end()


def _begin(
    topic: str, batches: Mapping[int, Sequence[Message]], traced: Sequence[tuple[int, int]]
) -> list[Span]:
    now = datetime.now(UTC)
    spans = []
    for partition, index in traced:
        message = batches[partition][index]
        headers = dict(message.headers)
        given = headers["traceparent"]
        happened_at = datetime.fromtimestamp((message.timestamp_ms or 0) / 1000, UTC)
        parent = place_of(given.decode(), happened_at, now)
        if parent is None:
            continue
        span = _TRACER.start_span(
            f"send {topic}",
            context=traces.within(parent),
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": str(partition),
                "cloudevents.event_id": headers["ce_id"].decode(),
                "cloudevents.event_type": headers["ce_type"].decode(),
            },
        )
        place = message.headers.index(("traceparent", given))
        message.headers[place] = ("traceparent", traces.traceparent_of(span).encode())
        spans.append(span)
    return spans


class Processed:
    """One event that a reader dealt with."""

    __slots__ = ("event_id", "offset", "parent", "wire_type")

    def __init__(self, parent: SpanContext, event_id: UUID, wire_type: str, offset: int) -> None:
        self.parent = parent
        self.event_id = event_id
        self.wire_type = wire_type
        self.offset = offset


def record_batch(
    reader: str,
    place: tuple[str, int],
    traced: Sequence[Processed],
    *,
    dead: Collection[UUID],
    messages: int,
    seconds: float,
) -> None:
    """Write the spans of a committed batch that took `seconds` until now.

    `place` is topic and partition, `messages` all that were fetched, `dead` those set aside. The
    batch is a trace of its own that links to its traced events, and each of them to the batch.
    """
    ended = time.time_ns()
    began = ended - int(seconds * 1e9)
    topic, partition = place
    shared = {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.consumer.group.name": reader,
    }
    batch = _TRACER.start_span(
        f"process batch {topic}",
        context=Context(),
        kind=SpanKind.CONSUMER,
        start_time=began,
        attributes={**shared, "messaging.batch.message_count": messages},
        links=[Link(item.parent) for item in traced[:_LINKS]],
    )
    link = Link(batch.get_span_context())
    for item in traced:
        span = _TRACER.start_span(
            f"process {topic}",
            context=traces.within(item.parent),
            kind=SpanKind.CONSUMER,
            start_time=began,
            links=[link],
            attributes={
                **shared,
                "messaging.kafka.offset": item.offset,
                "cloudevents.event_id": str(item.event_id),
                "cloudevents.event_type": item.wire_type,
            },
        )
        if item.event_id in dead:
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", "dead_letter")
        span.end(ended)
    batch.end(ended)
