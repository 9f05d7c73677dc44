"""When Python looks for garbage that counting references does not find."""

from __future__ import annotations

import gc

_CONTAINERS_BETWEEN = 50_000


def collect_rarely() -> None:
    """Leave out what start-up made, and look at the rest less often. Call it once, when started.

    A batch of events is tens of thousands of small containers, none in a cycle, that all go when
    it is done. With Python's own thresholds a third of a relay's time went into looking at them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_CONTAINERS_BETWEEN, 20, 100)
