"""N:M sparsity."""

from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, by_output
from vitprune.pruning.granularity.grouping import Grouping


class NofM(Granularity):
    """Single weights, such that of every m consecutive inputs n are kept.

    2:4 runs on sparse tensor cores. At the final sparsity of 1 - n/m the pattern is complete
    everywhere; in the rounds before, a part of those weights is pruned, so that every round
    reaches its scheduled sparsity exactly.

    Source: Mishra et al. 2021.

    Args:
        n: Weights that are KEPT of each m, in [1, m).
        m: Number of consecutive inputs; must divide the inputs of every layer.

    """

    def __init__(self, n: int = 2, m: int = 4) -> None:
        if not 1 <= n < m:
            raise UsageError(f"NofM keeps n of m with 1 <= n < m, not {n} of {m}.")
        self.n = n
        self.m = m

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (out, in) -> (out * in,) for each layer."""
        for layer in layers:
            inputs = layer.matrix_shape[1]
            if inputs % self.m:
                raise UsageError(
                    f"{self} does not divide the {inputs} inputs of {layer.name}. Exclude it by "
                    "pruning.layers.exclude."
                )
        return [
            Grouping((by_output(layer),), group_dims=len(layer.shape) + 1, pattern=(self.n, self.m))
            for layer in layers
        ]

    def check_sparsity(self, final_sparsity: float) -> None:
        """Accept the one sparsity that the pattern fixes."""
        fixed = 1 - self.n / self.m
        if abs(final_sparsity - fixed) > 1e-9:
            raise UsageError(
                f"{self} has a final sparsity of {fixed:g}, not {final_sparsity:g}. Set "
                f"final_sparsity to {fixed:g}, or choose another n and m."
            )
