"""Traces: whether they are recorded and where they go, by the standard `OTEL_*` variables.

Nothing is recorded unless `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) names a collector
that speaks OTLP over HTTP. `OTEL_TRACES_SAMPLER_ARG` is the share of traces to keep, from 0 to 1,
by default all of them; `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_*` and
`OTEL_SDK_DISABLED` mean what the specification says.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    from libs.chassis.sampling import Share

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# The last spans are worth a moment at the end of a process; a collector that is away is not.
_FLUSH_SECONDS = 3.0


class BadSampler(ValueError):
    """`OTEL_TRACES_SAMPLER_ARG` is not a share."""

    def __init__(self) -> None:
        super().__init__("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, such as 0.01")


class Telemetry:
    """The process's tracing. `share` is None while nothing is recorded."""

    def __init__(self) -> None:
        self.share: Share | None = None

    def start(self, service: str) -> Callable[[], None]:
        """Begin to record, if the environment says so; call it once, before serving.

        Gives the function that ends it: it sends what is left, and blocks for three seconds at
        most. Raises BadSampler.
        """
        off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        if off or not any(os.environ.get(name) for name in _ENDPOINTS):
            return lambda: None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from libs.chassis.sampling import Share, sampler

        try:
            share = Share(float(os.environ.get("OTEL_TRACES_SAMPLER_ARG") or "1"))
        except ValueError:
            raise BadSampler from None
        about = {
            "service.namespace": "rookery",
            "service.name": os.environ.get("OTEL_SERVICE_NAME") or service,
        }
        provider = TracerProvider(
            sampler=sampler(share), resource=Resource.create(about), shutdown_on_exit=False
        )
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
        self.share = share

        def stop() -> None:
            # A thread of its own: the library would wait half a minute for a dead collector.
            last = threading.Thread(target=provider.shutdown, daemon=True)
            last.start()
            last.join(_FLUSH_SECONDS)

        return stop


TELEMETRY = Telemetry()


def add_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the span under way in a log line: `trace_id` and `span_id`. A structlog processor."""
    at = trace.get_current_span().get_span_context()
    if at.is_valid:
        event["trace_id"] = f"{at.trace_id:032x}"
        event["span_id"] = f"{at.span_id:016x}"
    return event
