"""Everything the simulator knows, in one place, and what of it survives a restart."""

import os
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, Field

from libs.chassis.clock import Clock
from libs.simulator.clock import MovableClock
from libs.simulator.consent import Choice
from libs.simulator.grants import Grants, Token
from libs.simulator.journal import Journal
from libs.simulator.limits import Limits
from libs.simulator.people import Person, demo_people
from libs.simulator.settings import SimulatorSettings
from libs.simulator.wire import Platform
from libs.simulator.world import World


class XWebhook(BaseModel):
    """A webhook registered with X."""

    id: str
    url: str
    created_at: str
    valid: bool = True


class Kept(BaseModel):
    """What the state file holds."""

    people: list[Person] = Field(default_factory=list)
    tokens: list[Token] = Field(default_factory=list)
    # Key of `World.happen` -> when it last happened, and how much in all.
    happened: dict[str, tuple[datetime, int]] = Field(default_factory=dict)
    # Instagram account id -> subscribed fields.
    instagram_fields: dict[str, list[str]] = Field(default_factory=dict)
    # LinkedIn subscription key -> webhook URL and expiry in milliseconds.
    linkedin_subscriptions: dict[str, tuple[str, int]] = Field(default_factory=dict)
    x_webhooks: dict[str, XWebhook] = Field(default_factory=dict)
    # X subscription id -> {event_type, filter, tag, webhook_id}.
    x_subscriptions: dict[str, dict[str, object]] = Field(default_factory=dict)


class Simulation:
    """The state behind the web application; one event loop owns it."""

    def __init__(self, settings: SimulatorSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = MovableClock(clock)
        self.kept = _load(settings.state)
        if not self.kept.people:
            self.kept.people.extend(demo_people(settings.anchor))
        self.world = World(settings.seed, self.clock, self.kept.people, self.kept.happened)
        self.grants = Grants(self.clock, self.kept.tokens, self.keep)
        self.limits = Limits(self.clock)
        self.journal = Journal()
        self.consent: dict[Platform, Choice] = {}
        # Platforms that stopped sending because the receiver failed their checks, and why.
        self.muted: dict[Platform, str] = {}

    def keep(self) -> None:
        """Writes the state file, whole or not at all; does nothing without one. Blocks briefly."""
        path = self.settings.state
        if path is None:
            return
        self.kept.happened = self.world.totals()
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.kept.model_dump_json())
        fresh.replace(path)

    def choice(self, platform: Platform) -> Choice:
        """How the consent page of a platform answers now."""
        return self.consent.get(platform, Choice())


def _load(path: Path | None) -> Kept:
    if path is None or not path.exists():
        return Kept()
    return Kept.model_validate_json(path.read_bytes())
