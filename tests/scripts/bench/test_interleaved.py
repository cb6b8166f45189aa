"""Rounds of candidates that take turns."""

import pytest

from scripts.bench.interleaved import interleave


def test_candidates_take_turns_and_the_warm_up_does_not_count():
    order = []
    values = iter(range(100, 0, -1))

    def candidate(name):
        def run():
            order.append(name)
            return float(next(values))

        return run

    measured = interleave({name: candidate(name) for name in "ab"}, repeats=3, warm_up=1)
    assert order == ["b", "a", "a", "b", "b", "a", "a", "b"]
    assert measured.values == {"a": [98, 95, 94], "b": [97, 96, 93]}
    assert measured.median("a") == 95
    ratio = measured.ratio("a", "b")
    assert (ratio.lowest, ratio.highest) == (95 / 96, 94 / 93)
    assert ratio.median == pytest.approx(98 / 97)
    assert str(ratio) == "1.010 (median of 3, 0.990 to 1.011)"
