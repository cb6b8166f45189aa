"""Measured latencies of a model at several widths, and interpolation between them."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from vitprune.errors import UsageError
from vitprune.runs.latency_report import LatencyConditions
from vitprune.runs.typed_json import read_json, write_json

Structure = Literal["heads", "head_dims", "neurons", "width"]
OF_ATTENTION: tuple[Structure, ...] = ("heads", "head_dims", "width")
OF_MLP: tuple[Structure, ...] = ("neurons", "width")
Axes = dict[Structure, list[float]]


@dataclass(frozen=True)
class Grid:
    """Latencies of the whole model at every combination of kept shares.

    Attributes:
        levels: Measured shares of each kind of structure, in [0, 1], ascending; the last is 1. A
            kind with one level was not varied.
        ms: Milliseconds of a batch, in the order of the combinations: the last kind varies fastest.

    """

    levels: Axes
    ms: list[float]

    def __post_init__(self) -> None:
        """Check the shape."""
        combinations = int(np.prod([len(levels) for levels in self.levels.values()]))
        if len(self.ms) != combinations:
            raise ValueError(f"it has {len(self.ms)} latencies for {combinations} combinations")
        for kind, levels in self.levels.items():
            if not levels or sorted(set(levels)) != levels or levels[-1] != 1:
                raise ValueError(f"the levels of {kind} must ascend to 1")

    @cached_property
    def _values(self) -> np.ndarray:
        return np.reshape(self.ms, [len(levels) for levels in self.levels.values()])

    @classmethod
    def of(cls, levels: Axes, ms: Sequence[float]) -> "Grid":
        """Return the grid of measurements, in which noise makes no smaller model slower.

        Along each kind, a value becomes the mean of the highest one up to it and the lowest one
        from it on. The last one, of the dense model, stays as it is.
        """
        values = np.minimum(np.reshape(ms, [len(each) for each in levels.values()]), ms[-1])
        for axis in range(values.ndim):
            lowest = np.flip(np.minimum.accumulate(np.flip(values, axis), axis), axis)
            values = (np.maximum.accumulate(values, axis) + lowest) / 2
        return cls(levels, values.flatten().tolist())

    def at(self, shares: Mapping[Structure, float]) -> float:
        """Return the latency at these shares, linear between the measured ones.

        Below the lowest level, the line through the lowest two is extrapolated.
        """
        values = self._values
        for kind, levels in self.levels.items():
            values = _along_first(values, levels, shares.get(kind, 1.0))
        return float(values)


def _along_first(values: np.ndarray, levels: Sequence[float], share: float) -> np.ndarray:
    """Interpolate along the first axis."""
    if len(levels) == 1:
        return values[0]
    below = min(max(bisect_right(levels, share) - 1, 0), len(levels) - 2)
    part = (share - levels[below]) / (levels[below + 1] - levels[below])
    return values[below] + part * (values[below + 1] - values[below])


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of one model on one device, as a file that other runs can use.

    Attributes:
        conditions: How they were measured.
        flops: FLOPs of one image in the dense model, to recognise it.
        attention: By the shares of heads, dimensions of heads and width that all attentions keep.
        mlp: By the shares of neurons and width that all MLPs keep.

    """

    conditions: LatencyConditions
    flops: float
    attention: Grid
    mlp: Grid

    def __post_init__(self) -> None:
        """Check the order of the kinds, by which the latencies are read."""
        for grid, kinds in ((self.attention, OF_ATTENTION), (self.mlp, OF_MLP)):
            if tuple(grid.levels) != kinds:
                raise ValueError(f"a grid must have levels of {', '.join(kinds)}, in this order")

    @classmethod
    def read(cls, path: str | Path) -> "LatencyTable":
        """Read a table.

        Raises:
            UsageError: If the file is missing, damaged or of another version.

        """
        return read_json(Path(path), cls)

    def write(self, path: str | Path) -> None:
        """Write the table, whole or not at all."""
        write_json(Path(path), self)

    @property
    def dense_ms(self) -> float:
        """Latency of the dense model."""
        return self.mlp.ms[-1]

    def check_levels(self, needed: Mapping[Structure, bool]) -> None:
        """Raise `UsageError` if a kind of structure was not varied.

        Args:
            needed: The kinds, and whether the table must know the model without any of them.

        """
        for kind, to_none in needed.items():
            levels = self.mlp.levels | self.attention.levels
            if len(levels[kind]) == 1 or (to_none and levels[kind][0] > 0):
                structure = f"'[{', '.join(needed)}]'"
                raise UsageError(
                    f"the latency table has no measurements with fewer {kind}. Measure it again: "
                    f"vitprune latency-table MODEL --output FILE --structure {structure}"
                )
