"""Who calls LinkedIn's API, with which version, and whether they may."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from libs.simulator import wire
from libs.simulator.linkedin import restli
from libs.simulator.linkedin.refusals import denied, refusal, throttled, usable
from libs.simulator.people import Person
from libs.simulator.simulation import Simulation

_DAY = 86400
PER_MEMBER = 5_000
PER_APP = 100_000


@dataclass(frozen=True)
class Caller:
    """An authenticated member; on LinkedIn a person administers at most one page here."""

    person: Person
    scopes: tuple[str, ...]

    def demand(self, *scopes: str) -> None:
        """Raises 403 unless one of the scopes was granted."""
        if not set(scopes) & set(self.scopes):
            raise denied(scopes[0])

    def administer(self, raw: str, name: str) -> None:
        """Raises 403 unless the URN is the caller's own organisation and they administer it."""
        organisation = restli.urn(raw, name, "organization")
        own = self.person.organisation and organisation == self.person.account_id
        if not own or self.person.role != "ADMINISTRATOR":
            raise denied(f"organization {organisation}")


def caller(sim: Simulation, request: Request, resource: str) -> Caller:
    """The caller of a /rest resource. Raises for the version, the token and the day's quota."""
    _check_version(request, sim.clock.now(), sim.settings.linkedin_newest_version)
    who = bare_caller(sim, request)
    for rule, key, own in (
        (f"linkedin.member.{resource}", who.person.member_id, PER_MEMBER),
        (f"linkedin.app.{resource}", "app", PER_APP),
    ):
        if not sim.limits.fixed(rule, key, own, _DAY).allowed:
            raise throttled()
    return who


def bare_caller(sim: Simulation, request: Request) -> Caller:
    """The caller of an unversioned endpoint."""
    token = usable(sim.grants, wire.bearer(request))
    person = sim.world.person("linkedin", token.handle)
    if person is None:
        raise refusal(401, "INVALID_ACCESS_TOKEN", "The member no longer exists", 65600)
    return Caller(person, token.scopes)


def _check_version(request: Request, now: datetime, known: str) -> None:
    """Section 3.4: a published version of the last twelve months, and Rest.li 2.0.0."""
    version = request.headers.get("linkedin-version")
    if version is None:
        raise refusal(
            400,
            "VERSION_MISSING",
            "A version must be present. Please specify a version by adding the LinkedIn-Version "
            "header.",
        )
    digits = version.isascii() and version.isdigit() and len(version) == 6
    if not digits or not 1 <= int(version[4:]) <= 12:
        raise refusal(400, "INVALID_VERSION", "LinkedIn-Version must be in the form YYYYMM")
    oldest, newest = f"{now.year - 1}{now.month:02d}", max(known, f"{now.year}{now.month:02d}")
    if not oldest <= version <= newest:
        raise refusal(426, "NONEXISTENT_VERSION", f"Requested version {version} is not active")
    if request.headers.get("x-restli-protocol-version") != "2.0.0":
        raise refusal(
            400, "ILLEGAL_ARGUMENT", "Header X-Restli-Protocol-Version: 2.0.0 is required"
        )
