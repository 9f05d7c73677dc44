"""One JSON object a line on standard output; nothing secret in it."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

from libs.chassis.telemetry import add_trace

_SECRET_KEY = re.compile(
    r"password|passwd|secret|token|authorization|cookie|api_?key|signature|code_verifier|otp",
    re.IGNORECASE,
)
REDACTED = "[redacted]"


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank every value whose key says that it is a secret, at any depth."""
    for key, value in event.items():
        event[key] = _clean(key, value)
    return event


def _clean(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key) and value is not None and not isinstance(value, bool | int):
        return REDACTED
    if isinstance(value, dict):
        return {inner: _clean(str(inner), item) for inner, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean("", item) for item in value]
    return value


def configure(service: str, level: str = "INFO") -> None:
    """Route structlog and the standard library's logging through the same JSON lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer = structlog.processors.JSONRenderer(
        serializer=lambda value, **_: orjson.dumps(value, default=str).decode()
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # aiokafka repeats every broken connection at ERROR; the loops above it say it once.
    for name, quieter in (
        ("aiokafka", logging.CRITICAL),
        ("httpx", logging.WARNING),
        ("uvicorn", logging.WARNING),
    ):
        logging.getLogger(name).setLevel(quieter)
