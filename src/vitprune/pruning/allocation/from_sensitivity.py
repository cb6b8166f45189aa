"""Sparsities from a sensitivity scan."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.apportion import apportion
from vitprune.pruning.allocation.demand import Demand
from vitprune.pruning.candidates import Candidate
from vitprune.pruning.granularity.granularity import Granularity

# where a scan sees no drop, or a gain, the curve still rises, so that every sparsity can be reached
SLOPE = 1e-6


@dataclass(frozen=True)
class Point:
    """A point of the curve of a layer.

    Attributes:
        drop: Accuracy lost.
        sparsity: Sparsity of the layer.

    """

    drop: float
    sparsity: float


class FromSensitivity(Allocation):
    """The same drop in accuracy for every layer, as measured by a sensitivity scan.

    s_l is the largest sparsity with drop_l(s_l) <= d, with d such that the layers reach the target
    sparsity. Between the sparsities of the scan the drops are interpolated, on a curve that never
    decreases; beyond the last one they rise to the whole accuracy at sparsity 1.

    Source: Li et al. 2017 and Han et al. 2015, who choose rates by such scans.

    Cost: the scan, once. The scan may have used another criterion, but not another granularity.

    Args:
        path: The `sensitivity.json` of a scan.
        min_density: See `Allocation`.

    """

    def __init__(self, path: str, min_density: float = 0.0) -> None:
        super().__init__(min_density)
        self.path = path
        try:
            scan = json.loads(Path(path).expanduser().read_text())
            self.granularity: str = scan["granularity"]
            self.curves = {
                layer: _curve(scan["dense"], scan["reached"][group], scan["scan"][group])
                for group, layers in scan["groups"].items()
                for layer in layers
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"FromSensitivity needs the sensitivity.json of a scan, and {path!r} is none: "
                f"{error!r}"
            ) from error

    def check(self, layers: Sequence[Layer], granularity: Granularity) -> None:
        """Raise `UsageError` unless every layer was scanned, with the same granularity.

        The drop by single weights does not predict that by rows.
        """
        if type(granularity).__name__ != self.granularity:
            raise UsageError(
                f"the scan {self.path!r} pruned by {self.granularity}, and this is "
                f"{type(granularity).__name__}. Repeat the scan with the pruning.granularity of "
                "the run."
            )
        missing = [layer.name for layer in layers if layer.name not in self.curves]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UsageError(
                f"the scan {self.path!r} lacks {missing[0]}{more} of the selected layers. Repeat "
                "the scan with the pruning.layers of the run."
            )

    def divide(self, candidates: Sequence[Candidate], demand: Demand) -> list[int]:
        """See the base class; of groups that span several layers, the first layer counts."""
        increments = [candidate.increments for candidate in candidates]
        curves = [self.curves[candidate.layers[0].name] for candidate in candidates]

        def shares(drop: float) -> list[float]:
            return [
                count * _sparsity_at(curve, drop)
                for count, curve in zip(increments, curves, strict=True)
            ]

        sizes = [candidate.increment_size for candidate in candidates]
        return apportion(shares, sizes, demand)


def _curve(dense: float, reached: dict[str, float], accuracies: dict[str, float]) -> list[Point]:
    """Return points with rising drop and sparsity, from (0, 0) to (dense accuracy, 1).

    The drop is a little larger than measured, by `SLOPE`.
    """
    measured = sorted(
        (reached[key], max(0.0, dense - accuracy)) for key, accuracy in accuracies.items()
    )
    sparsities = [0.0, *(sparsity for sparsity, _ in measured), 1.0]
    drops = [0.0, *(drop for _, drop in measured), dense]
    return [
        Point(drop + SLOPE * sparsity, sparsity)
        for drop, sparsity in zip(accumulate(drops, max), sparsities, strict=True)
    ]


def _sparsity_at(curve: Sequence[Point], drop: float) -> float:
    """Return the largest sparsity whose interpolated drop is within `drop`."""
    reached = 0.0
    for left, right in pairwise(curve):
        if drop >= right.drop:
            reached = right.sparsity
        elif drop >= left.drop:
            slope = (right.sparsity - left.sparsity) * (drop - left.drop)
            return left.sparsity + slope / (right.drop - left.drop)
    return reached
