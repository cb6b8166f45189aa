"""Densities by layer shape."""

from collections.abc import Sequence

from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.apportion import apportion
from vitprune.pruning.allocation.demand import Demand
from vitprune.pruning.candidates import Candidate


class ERK(Allocation):
    """Densities in proportion to (in + out) / (in * out), so large layers are pruned more.

    1 - s_l = min(1, a (in_l + out_l) / (in_l out_l)), with a such that the layers reach the target
    sparsity (Erdos-Renyi-kernel). Kernel height and width are further terms and factors. For groups
    that span several layers, numerator and denominator are summed over the layers.

    Source: Mocanu et al. 2018; Evci et al. 2020.
    """

    def divide(self, candidates: Sequence[Candidate], demand: Demand) -> list[int]:
        """See the base class."""
        ratios = [_erdos_renyi_ratio(candidate) for candidate in candidates]

        def shares(x: float) -> list[float]:
            return [
                candidate.increments * (1 - min(1.0, ratio / x))
                for candidate, ratio in zip(candidates, ratios, strict=True)
            ]

        sizes = [candidate.increment_size for candidate in candidates]
        return apportion(shares, sizes, demand)


def _erdos_renyi_ratio(candidate: Candidate) -> float:
    shapes = [part.shape for part in candidate.tied.parts]
    return sum(map(sum, shapes)) / sum(shape.numel() for shape in shapes)
