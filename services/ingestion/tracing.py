"""Spans of the append: each traced request's wait, and the commit that it shared."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

_TRACER = trace.get_tracer("rookery.ingestion")
# What the SDK keeps of a span's links by default.
_LINKS = 128


def begin_append(rows: int) -> Span | None:
    """The span of a delivery until it is committed; None where the request is not traced."""
    if not trace.get_current_span().is_recording():
        return None
    return _TRACER.start_span(
        "append", attributes={"db.system.name": "postgresql", "rookery.rows": rows}
    )


def begin_commit(members: Iterable[Span | None]) -> Span | None:
    """The span of a batch: a trace of its own with links to its traced members; None without."""
    links = [Link(span.get_span_context()) for span in members if span is not None]
    if not links:
        return None
    return _TRACER.start_span(
        "commit batch",
        context=Context(),
        kind=SpanKind.CLIENT,
        attributes={"db.system.name": "postgresql"},
        links=links[:_LINKS],
    )


def end(span: Span | None, error: BaseException | None = None) -> None:
    """End it, failed if there was an error."""
    if span is None:
        return
    if error is not None:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", type(error).__name__)
    span.end()
