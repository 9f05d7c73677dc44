"""What is measured and traced of each HTTP exchange."""

from __future__ import annotations

import time
from contextvars import Token
from functools import cache
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from prometheus_client import Gauge, Histogram
from starlette.types import Scope

from libs.chassis.telemetry import TELEMETRY
from libs.contracts import traces

DURATION = Histogram(
    "rookery_http_request_duration_seconds",
    "From the first byte of a request to the end of its answer",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("rookery_http_requests_in_flight", "Requests that are being answered")

_TRACER = trace.get_tracer("rookery.http")
_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"))
# Asked for every few seconds by machines.
_UNTRACED = frozenset(("/healthz", "/readyz", "/metrics"))


class Exchange:
    """One request and its answer, from `__init__` to `end`, within one task.

    `traceparent` is the request's place in its trace, for events and further calls: the server
    span's if the trace is sampled; else the caller's, or a new one. The caller is the gateway or
    a service of ours, so its ids are taken as they are.
    """

    __slots__ = ("_began", "_method", "_span", "_token", "traceparent")

    def __init__(self, scope: Scope, given: str | None) -> None:
        """`given` is the header as it came."""
        self._began = time.perf_counter()
        method = scope["method"]
        self._method = method if method in _METHODS else "_OTHER"
        self._span: Span | None = None
        self._token: Token[Context] | None = None
        if given is None or not traces.is_valid(given):
            given = None
        share = TELEMETRY.share
        if share is None or (
            scope["path"] in _UNTRACED
            if given is None
            else not traces.is_sampled(given) and not share.keeps(int(given[3:35], 16))
        ):
            self.traceparent = given or traces.unsampled()
        else:
            self._begin(given)
        IN_FLIGHT.inc()

    def _begin(self, given: str | None) -> None:
        parent = traces.span_context(given) if given else None
        self._span = _TRACER.start_span(
            self._method,
            context=traces.within(parent) if parent else Context(),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": self._method},
        )
        self.traceparent = traces.traceparent_of(self._span)
        self._token = context.attach(trace.set_span_in_context(self._span))

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.traceparent[3:35]

    def end(self, scope: Scope, status: int) -> None:
        """Call it once, when the answer is out. `status` 0 says that there was none."""
        IN_FLIGHT.dec()
        route = _route(scope)
        taken = time.perf_counter() - self._began
        _duration(self._method, route, status).observe(taken)
        if self._span is None:
            return
        # Only the route's template: a path may hold ids, and a query a code of OAuth.
        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500 or status == 0:
            self._span.set_status(Status(StatusCode.ERROR))
            self._span.set_attribute("error.type", str(status) if status else "no_answer")
        self._span.end()
        if self._token is not None:
            context.detach(self._token)


@cache
def _duration(method: str, route: str, status: int) -> Histogram:
    """One series: to find it by its labels costs as much as all else here."""
    return DURATION.labels(method, route, status)


def _route(scope: Scope) -> str:
    """The template of the route that took the request; there are as many as routes, and one."""
    route: Any = scope.get("route")
    return getattr(route, "path", None) or "unmatched"
