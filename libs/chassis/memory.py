"""How Python's cycle collector is set for a service."""

from __future__ import annotations

import gc


def settle_collector() -> None:
    """Call once when all is imported and wired: what exists by then is never looked through again.

    A service makes and drops many small objects with few cycles among them; the defaults walk all
    modules and models over and over, which took a third of a reader's time. Idempotent.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
