"""The same sparsity in every layer."""

from collections.abc import Sequence

from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.apportion import apportion
from vitprune.pruning.allocation.demand import Demand
from vitprune.pruning.candidates import Candidate


class Uniform(Allocation):
    """The same sparsity in every layer, s_l = s: local pruning.

    If that is no whole number of groups in every layer, one more group is pruned in the first
    layers than in the last.

    Source: `torch.nn.utils.prune`, applied layer by layer.
    """

    def divide(self, candidates: Sequence[Candidate], demand: Demand) -> list[int]:
        """See the base class."""
        total = sum(candidate.size for candidate in candidates)
        quotas = [candidate.increments * demand.size / total for candidate in candidates]
        sizes = [candidate.increment_size for candidate in candidates]
        return apportion(lambda x: [x * quota for quota in quotas], sizes, demand)
