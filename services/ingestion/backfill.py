"""What an account's numbers were before it was connected, from whoever knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.clock import Clock
from libs.chassis.errors import NotFound, Unprocessable
from libs.chassis.partitions import ensure_partitions, month_of
from libs.contracts.accounts import PlatformName
from libs.contracts.envelope import Metadata
from libs.contracts.ingestion import PostMetricsObserved
from libs.eventlog.notify import Notifier
from libs.platforms.base import Observation, Platform, PollKind, Raw, Untranslatable, slot
from services.ingestion.append import Appended
from services.ingestion.observations import append_observations
from services.ingestion.projections.routes import route_of

OLDEST = timedelta(days=5 * 366)
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Past:
    """What a poll would have brought at `observed_at` (aware): the platform's raw responses."""

    kind: PollKind
    observed_at: datetime
    responses: dict[str, Any]


class Backfill:
    """Appends observations of the past like polls of that time.

    They have the keys of polls, so importing again, or what was polled, adds nothing.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        platforms: Mapping[PlatformName, Platform],
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._platforms = platforms
        self._notifier = notifier
        self._clock = clock

    async def append(
        self, account_id: UUID, past: Sequence[Past], *, correlation_id: str | None
    ) -> Appended:
        """All of it or nothing. Each is recorded as received at its `observed_at`.

        Raises NotFound for an account that is not connected (here, yet), Unprocessable for a time
        that is in the future or older than five years, or responses no poll would bring.
        """
        now = self._clock.now()
        if any(not now - OLDEST < one.observed_at < now + _CLOCK_SKEW for one in past):
            raise Unprocessable("A time of observation is in the future, or over five years ago")
        async with self._engine.begin() as connection:
            await ensure_partitions(
                connection, "events", {month_of(one.observed_at) for one in past}
            )
        async with self._engine.begin() as connection:
            route = await route_of(connection, account_id)
            if route is None:
                raise NotFound("There is no such connected account")
            name, user = route
            observations = [self._observation(name, index, one) for index, one in enumerate(past)]
            appended = await append_observations(
                connection,
                observations,
                account_id=account_id,
                platform=name,
                platform_user_id=user,
                metadata=Metadata(correlation_id=correlation_id),
            )
        self._notifier.wake()
        return appended

    def _observation(
        self, name: PlatformName, index: int, one: Past
    ) -> tuple[Observation, datetime]:
        platform = self._platforms[name]
        every = platform.facts.poll_every.get(one.kind)
        if every is None:
            raise Unprocessable("The platform has no poll of this kind", index=index)
        type_ = f"poll.{one.kind}"
        payload = {"observed_at": one.observed_at.isoformat(), "responses": one.responses}
        # Only the translation knows where a platform puts the id of a post.
        nobody = uuid4()
        try:
            event = platform.translate(
                Raw(nobody, nobody, nobody, name, type_, payload, one.observed_at)
            )
        except Untranslatable:
            raise Unprocessable("Not the responses of such a poll", index=index) from None
        post = (event.platform_post_id,) if isinstance(event, PostMetricsObserved) else ()
        key = ("poll", one.kind, slot(one.observed_at, every), *post)
        return Observation(one.kind, type_, key, payload), one.observed_at
