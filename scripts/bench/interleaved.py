"""Compare candidates fairly on a machine that is not idle: they take turns, round by round."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Ratios of two candidates, round by round."""

    median: float
    lowest: float
    highest: float
    rounds: int

    def __str__(self) -> str:
        """Return the median, with its range."""
        spread = f"{self.lowest:.3f} to {self.highest:.3f}"
        return f"{self.median:.3f} (median of {self.rounds}, {spread})"


@dataclass(frozen=True)
class Measurements:
    """What was measured of each candidate, in the same rounds."""

    values: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Return the median of a candidate."""
        return statistics.median(self.values[name])

    def ratio(self, numerator: str, denominator: str) -> Ratio:
        """Return the ratio of two candidates, computed in each round."""
        pairs = zip(self.values[numerator], self.values[denominator], strict=True)
        ratios = [above / below for above, below in pairs]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios), len(ratios))


def interleave(
    candidates: Mapping[str, Callable[[], float]], repeats: int, warm_up: int = 1
) -> Measurements:
    """Measure candidates in rounds; every other round runs them in reverse order.

    Args:
        candidates: Functions that run a candidate once and return the measured value, by name.
        repeats: Rounds that count.
        warm_up: Rounds before these.

    """
    values: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(warm_up + repeats):
        for name in list(candidates)[:: 1 if number % 2 else -1]:
            value = candidates[name]()
            if number >= warm_up:
                values[name].append(value)
    return Measurements(values)


def seconds(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
