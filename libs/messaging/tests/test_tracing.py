"""Spans of messages: who is whose parent, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from libs.contracts import traces
from libs.messaging import tracing
from libs.messaging.producer import Message
from libs.messaging.tracing import Processed, place_of, record_batch, sending
from libs.testing.tracing import recording

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
EVENT, OTHER = UUID(int=1), UUID(int=2)
TYPE = "ingestion.comment_received.v1"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    # A share of nothing: whatever is recorded, is so for the sake of its parent or links.
    with recording(tracing, share=0) as spans:
        yield spans


def message(traceparent: str | None, ago: timedelta = timedelta(0)) -> Message:
    headers = [("ce_id", str(EVENT).encode()), ("ce_type", TYPE.encode())]
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    moment = datetime.now(UTC) - ago
    return Message(b"k", b"{}", headers, int(moment.timestamp() * 1000), traced=True)


def carried(message: Message) -> str:
    return dict(message.headers)["traceparent"].decode()


def place(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.context
    assert context is not None
    return context


def test_a_message_carries_the_span_that_sent_it(spans: InMemorySpanExporter) -> None:
    other, ours = message(UNSAMPLED), message(SAMPLED)
    with sending("ingestion.events", {3: [other, ours]}, [(3, 1)]):
        assert spans.get_finished_spans() == ()
    [span] = spans.get_finished_spans()
    assert carried(ours) == f"00-{TRACE}-{place(span).span_id:016x}-01"
    assert carried(other) == UNSAMPLED
    assert span.parent is not None
    assert span.parent.span_id == int(SPAN, 16)
    assert span.attributes is not None
    assert span.attributes["messaging.destination.partition.id"] == "3"
    assert span.attributes["cloudevents.event_id"] == str(EVENT)
    assert span.status.is_ok


@pytest.mark.parametrize("given", [UNSAMPLED, "", "junk-01"])
def test_what_is_not_sampled_passes_as_it_is(spans: InMemorySpanExporter, given: str) -> None:
    ours = message(given)
    with sending("ingestion.events", {3: [ours]}, [(3, 0)]):
        pass
    assert carried(ours) == given
    assert spans.get_finished_spans() == ()


def test_without_a_collector_a_sampled_message_passes_as_it_is() -> None:
    ours = message(SAMPLED)
    with sending("ingestion.events", {3: [ours]}, [(3, 0)]):
        pass
    assert carried(ours) == SAMPLED


def test_old_events_of_a_topic_fed_again_begin_no_traces(spans: InMemorySpanExporter) -> None:
    ours = message(SAMPLED, ago=timedelta(hours=2))
    with sending("ingestion.events", {3: [ours]}, [(3, 0)]):
        pass
    assert carried(ours) == SAMPLED
    assert spans.get_finished_spans() == ()
    now = datetime.now(UTC)
    assert place_of(SAMPLED, now - timedelta(hours=2), now) is None
    assert place_of(SAMPLED, now - timedelta(minutes=59), now) is not None


def test_a_batch_that_could_not_be_sent_fails_its_spans(spans: InMemorySpanExporter) -> None:
    with (
        pytest.raises(TimeoutError),
        sending("ingestion.events", {3: [message(SAMPLED)]}, [(3, 0)]),
    ):
        raise TimeoutError("10.0.0.7 did not answer")
    [span] = spans.get_finished_spans()
    assert not span.status.is_ok
    assert span.attributes is not None
    assert span.attributes["error.type"] == "TimeoutError"
    assert "10.0.0.7" not in span.to_json()


def test_a_reader_goes_on_with_the_trace_of_each_event(spans: InMemorySpanExporter) -> None:
    parent = traces.span_context(SAMPLED)
    assert parent is not None
    traced = [Processed(parent, EVENT, TYPE, 7), Processed(parent, OTHER, TYPE, 8)]
    record_batch(
        "analytics.top_content",
        ("ingestion.events", 3),
        traced,
        dead={OTHER},
        messages=50,
        seconds=0.25,
    )
    *items, batch = spans.get_finished_spans()
    for span, item in zip(items, traced, strict=True):
        assert span.parent == parent
        assert [link.context for link in span.links] == [place(batch)]
        assert span.attributes is not None
        assert span.attributes["messaging.kafka.offset"] == item.offset
    assert [span.status.is_ok for span in items] == [True, False]
    assert batch.parent is None
    assert place(batch).trace_id != parent.trace_id
    assert [link.context for link in batch.links] == [parent, parent]
    assert batch.attributes is not None
    assert batch.attributes["messaging.batch.message_count"] == 50
    assert batch.end_time is not None
    assert batch.start_time is not None
    assert batch.end_time - batch.start_time == 250_000_000
