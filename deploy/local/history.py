"""Ninety days of the demo's past, as polls would have brought them, put into ingestion."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import httpx
from pydantic import SecretStr

from libs.chassis.tokens import ServiceTokens

DAYS = 90
_POSTS_EVERY = 7
_MAX_BYTES = 900_000  # services take a mebibyte
_MAX_OBSERVATIONS = 1000


def past_of(http: httpx.Client, simulator: str, platform: str, handle: str) -> list[Any]:
    """What the simulator says about the past of one account, oldest first.

    Account and audience as they were every day, posts as they were every seventh: charts are drawn
    from the former, and of a post only the newest numbers are shown.
    """
    answer = http.get(
        f"{simulator}/_control/history",
        params={
            "platform": platform,
            "handle": handle,
            "days": DAYS,
            "posts_every": _POSTS_EVERY,
        },
    )
    answer.raise_for_status()
    past: list[Any] = answer.json()
    return past


class Importer:
    """Calls ingestion's internal import as the service `local`; repeating it adds nothing."""

    def __init__(
        self, ingestion: str, service_secret: str, http: httpx.Client | None = None
    ) -> None:
        """`ingestion` is the service's own address: the gateway does not lead there.

        Without `http` each request makes a connection of its own.
        """
        self._url = f"{ingestion}/internal/backfill"
        self._post = http.post if http else partial(httpx.post, timeout=60, trust_env=False)
        self._tokens = ServiceTokens(SecretStr(service_secret))

    def send(
        self,
        account_id: str,
        past: Sequence[Any],
        ask: Callable[[Callable[[], httpx.Response]], httpx.Response],
    ) -> None:
        """Send the past in pieces. `ask` makes each request and deals with refusals."""
        for piece in _pieces(past):
            body = json.dumps({"account_id": account_id, "observations": piece})

            def post(body: str = body) -> httpx.Response:
                bearer = self._tokens.issue(caller="local", callee="ingestion")
                headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
                return self._post(self._url, content=body, headers=headers)

            ask(post)


def _pieces(past: Sequence[Any]) -> Iterator[list[Any]]:
    piece: list[Any] = []
    size = 0
    for observation in past:
        length = len(json.dumps(observation)) + 2
        if piece and (size + length > _MAX_BYTES or len(piece) == _MAX_OBSERVATIONS):
            yield piece
            piece, size = [], 0
        piece.append(observation)
        size += length
    if piece:
        yield piece
