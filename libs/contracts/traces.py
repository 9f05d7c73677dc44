"""W3C trace context as events and requests carry it: `00-<trace id>-<span id>-<flags>`.

Whether a trace is sampled is decided once, where it begins, and travels in the flags. What is not
sampled must cost its passers-by no more than a look at them.
"""

from __future__ import annotations

import re
import secrets

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NONE = frozenset(("0" * 32, "0" * 16))
# The lowest bit of the last hexadecimal digit.
_SAMPLED = frozenset("13579bdf")


def is_valid(traceparent: str) -> bool:
    """Whether it has the form of version 00 and names a trace and a span."""
    found = _FORM.fullmatch(traceparent)
    return found is not None and found[1] not in _NONE and found[2] not in _NONE


def is_sampled(traceparent: str | None) -> bool:
    """Whether spans are wanted. Looks at one character; says nothing about the rest."""
    return traceparent is not None and traceparent[-1:] in _SAMPLED


def unsampled() -> str:
    """A new trace that nobody records, to join log lines and events by."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def span_context(traceparent: str) -> SpanContext | None:
    """The place in a trace that it names; None for anything that is not valid."""
    if not is_valid(traceparent):
        return None
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)))


def within(place: SpanContext) -> Context:
    """A context whose new spans are children of that place."""
    return trace.set_span_in_context(NonRecordingSpan(place), Context())


def traceparent_of(span: trace.Span) -> str:
    """The span as a parent for others to name."""
    at = span.get_span_context()
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"
