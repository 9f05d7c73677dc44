"""Time in the simulator: the injected clock, which the control API can move forward."""

from datetime import datetime, timedelta

from libs.chassis.clock import Clock


class MovableClock:
    """A clock that runs with another one, ahead of it by a movable offset.

    Lets a test outlive a token without waiting. It never goes backwards.
    """

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._ahead = timedelta()

    def now(self) -> datetime:
        """The present, timezone-aware, UTC."""
        return self._base.now() + self._ahead

    def advance(self, seconds: float) -> None:
        """Moves the clock forward; raises ValueError for a negative step."""
        if seconds < 0:
            raise ValueError("the clock only moves forward")
        self._ahead += timedelta(seconds=seconds)
