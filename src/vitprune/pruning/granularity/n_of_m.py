"""N:M sparsity."""

from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.granularity import Granularity, matrix_of
from vitprune.pruning.granularity.units import Part, Unit
from vitprune.pruning.granularity.views import flat


class NofM(Granularity):
    """Single weights, such that of every m consecutive inputs n are kept: 2:4 runs on sparse tensor
    cores.

    At the final sparsity of 1 - n/m the pattern is complete in every group (Mishra et al. 2021); in
    the rounds before, the weights that have fallen are some of those that will. So the scheduled
    sparsity is met exactly in every round.

    Args:
        n: Weights that are KEPT of each m, in [1, m).
        m: Consecutive inputs of a group; must divide the inputs of every layer.

    """

    def __init__(self, n: int = 2, m: int = 4) -> None:
        if not 1 <= n < m:
            raise UsageError(f"NofM keeps n of m with 1 <= n < m, not {n} of {m}.")
        self.n, self.m = n, m

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(out, in) -> (out * in,), for each layer."""
        for layer in layers:
            inputs = matrix_of(layer, self)[1]
            if inputs % self.m:
                raise UsageError(
                    f"{self} does not divide the {inputs} inputs of {layer.name}; exclude it."
                )
        return [Unit((Part(layer, flat),), pattern=(self.n, self.m)) for layer in layers]

    def check_sparsity(self, final_sparsity: float) -> None:
        """Accept the one that the pattern fixes."""
        if abs(final_sparsity - (1 - self.n / self.m)) > 1e-9:
            raise UsageError(
                f"{self} fixes the final sparsity at {1 - self.n / self.m:g}, not "
                f"{final_sparsity:g}."
            )
