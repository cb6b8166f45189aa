"""Densities by layer shape."""

from collections.abc import Sequence

from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.apportion import apportion
from vitprune.pruning.allocation.candidates import Candidate


class ERK(Allocation):
    """Densities in proportion to (in + out) / (in * out): large layers lose more
    (Erdos-Renyi-kernel).

    1 - s_l = min(1, a (in_l + out_l) / (in_l out_l)), with a such that the layers come to the
    sparsity. Source: Mocanu et al. 2018; Evci et al. 2020. A kernel counts here with its inputs; of
    a unit that spans several layers, sums over them count.
    """

    def divide(
        self,
        target: int,
        candidates: Sequence[Candidate],
        lower: Sequence[int],
        upper: Sequence[int],
    ) -> list[int]:
        """See the base class."""
        ratios = [_erdos_renyi_ratio(candidate) for candidate in candidates]

        def shares(x: float) -> list[float]:
            return [
                c.groups * (1 - min(1.0, ratio / x))
                for c, ratio in zip(candidates, ratios, strict=True)
            ]

        return apportion(shares, target, candidates, lower, upper)


def _erdos_renyi_ratio(candidate: Candidate) -> float:
    shapes = [layer.shape for layer in candidate.layers]
    return sum(map(sum, shapes)) / sum(shape.numel() for shape in shapes)
