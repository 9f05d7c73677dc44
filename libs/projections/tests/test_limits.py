"""How much poison is too much."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from libs.projections.batch import LimitReached
from libs.projections.limits import Limits, PoisonMeter


def _outcomes(first: int, *poison: bool) -> Sequence[tuple[int, bool]]:
    return list(enumerate(poison, start=first))


def test_poison_in_a_row_is_limited_across_batches() -> None:
    meter = PoisonMeter(Limits(consecutive=3, share=1.0, window=100))
    meter.check(_outcomes(0, True, True))
    meter.accept()
    with pytest.raises(LimitReached) as limit:
        meter.check(_outcomes(2, True, True, False))
    assert limit.value.upto == 2


def test_a_good_message_ends_the_row() -> None:
    meter = PoisonMeter(Limits(consecutive=3, share=1.0, window=100))
    for first in range(0, 40, 4):
        meter.check(_outcomes(first, True, True, True, False))
        meter.accept()


def test_the_share_counts_once_the_window_is_full() -> None:
    meter = PoisonMeter(Limits(consecutive=100, share=0.5, window=10))
    meter.check(_outcomes(0, *[True, True, False] * 3))
    meter.accept()
    with pytest.raises(LimitReached) as limit:
        meter.check(_outcomes(9, True))
    assert limit.value.upto is None


def test_old_poison_leaves_the_window() -> None:
    meter = PoisonMeter(Limits(consecutive=100, share=0.5, window=10))
    meter.check(_outcomes(0, *[True] * 9))
    meter.accept()
    meter.check(_outcomes(9, *[False] * 10))
    meter.accept()
    meter.check(_outcomes(19, True, True, True, True, True))


def test_a_batch_that_was_not_committed_does_not_count() -> None:
    meter = PoisonMeter(Limits(consecutive=3, share=1.0, window=100))
    for _ in range(5):
        meter.check(_outcomes(0, True, True))
