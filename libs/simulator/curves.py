"""Numbers that move plausibly: pure functions of a key and of time, the same on every run."""

import hashlib
import math


def digest(*parts: object) -> int:
    """A 64-bit number that depends on the parts alone."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    return digest(*parts) / 2**64


def between(low: float, high: float, *parts: object) -> float:
    """A number in [low, high) that depends on the parts alone."""
    return low + (high - low) * fraction(*parts)


def wobble(days: float, *parts: object) -> float:
    """A smooth curve within [-1, 1]: three waves of about a week, a month and a quarter."""
    waves = ((7.3, 0.25), (29.0, 0.35), (91.0, 0.4))
    return sum(
        size * math.sin(2 * math.pi * (days / period + fraction(*parts, period)))
        for period, size in waves
    )


def ripening(hours: float) -> float:
    """Share of its lifetime audience a post has reached: 0 when posted, rising for ever to 1.

    Nine tenths arrive within days, the rest over months, so old posts still move a little.
    """
    if hours <= 0:
        return 0.0
    return 0.9 * -math.expm1(-hours / 30) + 0.1 * -math.expm1(-hours / 1500)


def shares_of(total: int, weights: dict[str, float]) -> dict[str, int]:
    """`total` divided by the weights, largest first; rounded down, empty shares left out."""
    whole = sum(weights.values())
    parts = {name: int(total * weight / whole) for name, weight in weights.items()}
    return {n: v for n, v in sorted(parts.items(), key=lambda item: -item[1]) if v > 0}
