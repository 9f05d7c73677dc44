"""A bounded record of what came in and what went out, for whoever watches the simulator."""

from collections import deque
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

_SECRET = frozenset(
    {"access_token", "client_secret", "code", "refresh_token", "code_verifier", "fb_exchange_token"}
)


class Journal:
    """The last `size` requests received and webhooks sent, oldest first. Holds no secrets."""

    def __init__(self, size: int = 2000) -> None:
        self._received: deque[dict[str, Any]] = deque(maxlen=size)
        self._sent: deque[dict[str, Any]] = deque(maxlen=size)

    def received(
        self, at: datetime, *, method: str, path: str, query: str, status: int, fault: str | None
    ) -> None:
        """Notes a request answered with `status` (0: not answered)."""
        pairs = parse_qsl(query, keep_blank_values=True)
        shown = urlencode([(k, "…" if k in _SECRET else v) for k, v in pairs], safe=":,()…")
        self._received.append(
            {
                "at": at.isoformat(),
                "method": method,
                "path": path,
                "query": shown,
                "status": status,
                "fault": fault,
            }
        )

    def sent(self, at: datetime, entry: dict[str, Any]) -> None:
        """Notes one attempt to deliver a webhook."""
        self._sent.append({"at": at.isoformat(), **entry})

    def entries(self, limit: int) -> dict[str, list[dict[str, Any]]]:
        """The newest `limit` entries of both records, oldest first."""
        return {"received": list(self._received)[-limit:], "sent": list(self._sent)[-limit:]}
