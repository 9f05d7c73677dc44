"""Which platform a path belongs to, and that platform's words for what any request can get wrong."""

from types import ModuleType

from libs.simulator.instagram import refusals as instagram_refusals
from libs.simulator.linkedin import refusals as linkedin_refusals
from libs.simulator.simulation import Simulation
from libs.simulator.tiktok import refusals as tiktok_refusals
from libs.simulator.wire import PLATFORMS, BadParameter, Platform, Refusal
from libs.simulator.x import refusals as x_refusals

_WORDS: dict[Platform, ModuleType] = {
    "instagram": instagram_refusals,
    "tiktok": tiktok_refusals,
    "linkedin": linkedin_refusals,
    "x": x_refusals,
}


def platform_of(path: str) -> Platform | None:
    """The platform whose host prefix the path starts with."""
    host = path.lstrip("/").partition("/")[0]
    return next((name for name in PLATFORMS if host.startswith(f"{name}-")), None)


def bad_parameter(platform: Platform, bad: BadParameter, path: str) -> Refusal:
    refused: Refusal = _WORDS[platform].bad_parameter(bad, path)
    return refused


def bad_content_type(platform: Platform, path: str) -> Refusal:
    refused: Refusal = _WORDS[platform].bad_content_type(path)
    return refused


def not_found(platform: Platform, status: int) -> Refusal:
    """For a path (404) or a method (405) the platform does not have."""
    refused: Refusal = _WORDS[platform].not_found(status)
    return refused


def broken(platform: Platform, sim: Simulation) -> Refusal:
    """The platform is out of order."""
    refused: Refusal = _WORDS[platform].broken()
    return refused


def throttled(platform: Platform, sim: Simulation) -> Refusal:
    """The platform has had too many requests; each says so in its own way."""
    if platform == "instagram":
        return instagram_refusals.throttled(sim.settings.instagram_throttle_status)
    if platform == "tiktok":
        return tiktok_refusals.throttled()
    if platform == "linkedin":
        return linkedin_refusals.throttled()
    reset = int(sim.clock.now().timestamp()) + 60
    return x_refusals.throttled(
        {
            "x-rate-limit-limit": "75",
            "x-rate-limit-remaining": "0",
            "x-rate-limit-reset": str(reset),
        }
    )
