"""Which requests are traced, and what stands in a span and in a log line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, TraceFlags
from prometheus_client import REGISTRY

from libs.chassis import exchange
from libs.chassis.exchange import Exchange
from libs.chassis.sampling import Share, sampler
from libs.chassis.telemetry import TELEMETRY, BadSampler, add_trace
from libs.contracts import traces
from libs.testing.tracing import recording

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, OPEN = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with recording(exchange) as spans:
        yield spans


class _Route:
    path = "/v1/workspaces/{ws}/events"


def scope(path: str = "/v1/workspaces/7/events", method: str = "GET") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "query_string": b"code=hunter2"}


def exchanged(given: str | None, status: int = 200, **about: str) -> Exchange:
    request = scope(**about)
    done = Exchange(request, given)
    request["route"] = _Route()
    done.end(request, status)
    return done


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    [span] = spans.get_finished_spans()
    return span


def place(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.context
    assert context is not None
    return context


def test_a_traced_request_is_a_child_of_the_gateways_span(spans: InMemorySpanExporter) -> None:
    done = exchanged(SAMPLED)
    span = only(spans)
    assert (done.trace_id, place(span).trace_id) == (TRACE, int(TRACE, 16))
    assert span.parent is not None
    assert span.parent.span_id == int(SPAN, 16)
    assert done.traceparent == f"00-{TRACE}-{place(span).span_id:016x}-01"


def test_a_span_says_the_route_and_neither_path_nor_query(spans: InMemorySpanExporter) -> None:
    exchanged(SAMPLED)
    span = only(spans)
    assert span.name == "GET /v1/workspaces/{ws}/events"
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/workspaces/{ws}/events",
        "http.response.status_code": 200,
    }


def test_a_failed_request_fails_its_span(spans: InMemorySpanExporter) -> None:
    exchanged(SAMPLED, 404)
    exchanged(SAMPLED, 503)
    assert [span.status.is_ok for span in spans.get_finished_spans()] == [True, False]


def test_what_a_caller_leaves_open_is_decided_by_the_share() -> None:
    with recording(exchange, share=0.25) as spans:
        made = [exchanged(f"00-{uuid4().hex}-{SPAN}-00") for _ in range(2_000)]
    kept = [done for done in made if traces.is_sampled(done.traceparent)]
    assert len(kept) == len(spans.get_finished_spans())
    assert 400 < len(kept) < 600


def test_what_a_caller_samples_is_traced_whatever_the_share() -> None:
    with recording(exchange, share=0) as spans:
        exchanged(SAMPLED)
        assert exchanged(OPEN).traceparent == OPEN
        assert not traces.is_sampled(exchanged(None).traceparent)
    assert len(spans.get_finished_spans()) == 1


@pytest.mark.parametrize("given", [None, "", "junk", f"00-{'0' * 32}-{SPAN}-01", SAMPLED.upper()])
def test_a_request_without_a_valid_trace_begins_one(
    spans: InMemorySpanExporter, given: str | None
) -> None:
    done = exchanged(given)
    span = only(spans)
    assert span.parent is None
    assert done.trace_id == f"{place(span).trace_id:032x}" != TRACE


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_nobody_traces_the_looks_of_machines(spans: InMemorySpanExporter, path: str) -> None:
    exchanged(None, path=path)
    assert spans.get_finished_spans() == ()


def test_without_a_collector_ids_are_passed_on_and_nothing_is_recorded() -> None:
    assert TELEMETRY.share is None
    assert exchanged(OPEN).traceparent == OPEN
    assert exchanged(SAMPLED).traceparent == SAMPLED
    begun = exchanged(None).traceparent
    assert traces.is_valid(begun)
    assert not traces.is_sampled(begun)


def test_requests_are_counted_by_route_and_status_and_never_by_path() -> None:
    def counted(**labels: str) -> float:
        name = "rookery_http_request_duration_seconds_count"
        return REGISTRY.get_sample_value(name, labels) or 0

    labels = {"method": "_OTHER", "route": _Route.path, "status": "418"}
    before = counted(**labels)
    exchanged(None, 418, method="BREW")
    assert counted(**labels) == before + 1
    missed = scope("/v1/hunter2")
    Exchange(missed, None).end(missed, 404)
    assert counted(method="GET", route="unmatched", status="404") > 0
    assert REGISTRY.get_sample_value("rookery_http_requests_in_flight") == 0


def test_a_batch_is_kept_when_one_of_its_members_is() -> None:
    tracer = TracerProvider(sampler=sampler(Share(0)), shutdown_on_exit=False).get_tracer("test")
    for flags, kept in ((1, True), (0, False)):
        member = SpanContext(int(TRACE, 16), int(SPAN, 16), True, TraceFlags(flags))
        batch = tracer.start_span("batch", context=Context(), links=[Link(member)])
        assert batch.is_recording() is kept


def test_a_log_line_names_the_span_under_way(spans: InMemorySpanExporter) -> None:
    with structlog.testing.capture_logs(processors=[add_trace]) as lines:
        log = structlog.get_logger()
        request = scope()
        done = Exchange(request, SAMPLED)
        log.info("within")
        done.end(request, 200)
        log.info("outside")
    assert lines[0]["trace_id"] == TRACE
    assert lines[0]["span_id"] == f"{place(only(spans)).span_id:016x}"
    assert "trace_id" not in lines[1]


def test_nothing_is_recorded_unless_a_collector_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    provider = trace.get_tracer_provider()
    TELEMETRY.start("test")()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    TELEMETRY.start("test")()
    assert TELEMETRY.share is None
    assert trace.get_tracer_provider() is provider


@pytest.mark.parametrize("share", ["1.5", "-1", "nan", "all"])
def test_a_share_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, share: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", share)
    with pytest.raises(BadSampler):
        TELEMETRY.start("test")


def test_a_service_without_a_collector_does_not_load_the_sdk() -> None:
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            """
import sys, libs.chassis.foundation, libs.chassis.entry
print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])
""",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
