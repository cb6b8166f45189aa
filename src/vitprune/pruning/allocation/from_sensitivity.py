"""Where: as a sensitivity scan advises."""

import json
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.apportion import apportion
from vitprune.pruning.allocation.candidates import Candidate
from vitprune.pruning.granularity.granularity import Granularity


class FromSensitivity(Allocation):
    """The same drop in accuracy for every layer, as a sensitivity scan measured it: the budget goes
    where it hurts least.

    s_l is the largest sparsity with drop_l(s_l) <= d, with d such that the layers come to the
    sparsity. Source: Li et al. 2017 and Han et al. 2015, who choose rates by such scans. Costs the
    scan, once; it may have used another criterion, but must have used the same granularity.

    Between the sparsities of the scan its drops are interpolated, on the curve that never falls;
    beyond the last one they rise to the whole accuracy at sparsity 1. The tolerated drop is chosen
    such that the layers come to the sparsity.

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
        """Every layer must have been scanned, by the same granularity: drops of single weights say nothing about rows."""
        if type(granularity).__name__ != self.granularity:
            raise UsageError(
                f"the scan {self.path!r} pruned by {self.granularity}, and this is "
                f"{type(granularity).__name__}: repeat the scan with the pruning.granularity of "
                "the run."
            )
        missing = [layer.name for layer in layers if layer.name not in self.curves]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UsageError(
                f"the scan {self.path!r} lacks {missing[0]}{more} of the selected layers."
            )

    def divide(
        self,
        target: int,
        candidates: Sequence[Candidate],
        lower: Sequence[int],
        upper: Sequence[int],
    ) -> list[int]:
        """See the base class; of a unit that spans several layers, the first counts."""
        own = [(c.groups, self.curves[c.layers[0].name]) for c in candidates]
        return apportion(
            lambda x: [groups * _invert(curve, x) for groups, curve in own],
            target,
            candidates,
            lower,
            upper,
        )


SLOPE = 1e-6  # where a scan sees no drop, or a gain, the curve still rises, so that every sparsity can be reached


def _curve(
    dense: float, reached: dict[str, float], accuracies: dict[str, float]
) -> list[tuple[float, float]]:
    """Return (drop, sparsity), both rising from (0, 0) to (dense, 1), and the drop by a little more."""
    points = sorted((reached[s], max(0.0, dense - accuracy)) for s, accuracy in accuracies.items())
    sparsities, drops = (
        [0.0, *(s for s, _ in points), 1.0],
        [0.0, *(drop for _, drop in points), dense],
    )
    return [
        (drop + SLOPE * s, s) for drop, s in zip(accumulate(drops, max), sparsities, strict=True)
    ]


def _invert(curve: Sequence[tuple[float, float]], drop: float) -> float:
    """Return the largest sparsity whose interpolated drop is within `drop`."""
    reached = 0.0
    for (low, sparsity), (high, next_sparsity) in pairwise(curve):
        if drop >= high:
            reached = next_sparsity
        elif drop >= low:
            return sparsity + (next_sparsity - sparsity) * (drop - low) / (high - low)
    return reached
