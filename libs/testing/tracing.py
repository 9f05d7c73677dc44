"""Spans for tests: recorded in memory by a tracer of the test's own, or received over OTLP."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import ModuleType

import pytest
from fastapi import FastAPI, Request, Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs.chassis.sampling import Share, sampler
from libs.chassis.telemetry import TELEMETRY
from libs.messaging import tracing as messages
from libs.testing.serving import serve


@contextmanager
def recording(*modules: ModuleType, share: float = 1.0) -> Iterator[InMemorySpanExporter]:
    """Record what these modules trace (by their `_TRACER`) while inside, as an own process would.

    The library's provider can be set once in a process only, so it stays out of this.
    """
    spans = InMemorySpanExporter()
    kept = Share(share)
    provider = TracerProvider(sampler=sampler(kept), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TELEMETRY, "share", kept)
        for module in modules:
            patch.setattr(module, "_TRACER", provider.get_tracer("test"))
            if module is messages:
                patch.setattr(module, "recording", lambda: True)
        yield spans
    provider.shutdown()


@dataclass(frozen=True)
class Received:
    """A span as the collector got it; ids are hexadecimal, `parent` is empty for a root."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    kind: str
    links: tuple[str, ...]
    attributes: dict[str, str]
    failed: bool


@dataclass
class Collector:
    """What an OTLP/HTTP receiver got. `raw` is every request's body, for searches."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def trace(self, trace_id: str) -> list[Received]:
        """The spans of one trace, as they came."""
        return [span for span in self.spans if span.trace_id == trace_id]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A receiver of traces on a free port; `url` is for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
    collector = Collector()
    # Its own process may be told to report to it.
    app = FastAPI(telemetry={"auto_configure": False, "tracing": False})

    @app.post("/v1/traces")
    async def traces(request: Request) -> Response:
        body = await request.body()
        match request.headers.get("content-encoding"):
            case "gzip":
                body = gzip.decompress(body)
            case "deflate":
                body = zlib.decompress(body)
        collector.raw.append(body)
        collector.spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))
        return Response(media_type="application/x-protobuf")

    async with serve(app) as url:
        collector.url = url
        yield collector


def _spans(request: ExportTraceServiceRequest) -> Iterator[Received]:
    for group in request.resource_spans:
        about = {item.key: item.value.string_value for item in group.resource.attributes}
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Received(
                    service=about["service.name"],
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    links=tuple(link.span_id.hex() for link in span.links),
                    attributes={item.key: _text(item.value) for item in span.attributes},
                    failed=span.status.code == 2,
                )


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind))
