"""The same sparsity in every layer."""

from collections.abc import Sequence

from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.apportion import apportion
from vitprune.pruning.allocation.candidates import Candidate


class Uniform(Allocation):
    """The same sparsity in every layer, s_l = s: local pruning, as `torch.nn.utils.prune` does
    layer by layer.

    Where that is no whole number of groups in every layer, the first layers lose one more than the
    last.
    """

    def divide(
        self,
        target: int,
        candidates: Sequence[Candidate],
        lower: Sequence[int],
        upper: Sequence[int],
    ) -> list[int]:
        """See the base class."""
        weights = sum(c.groups * c.group_size for c in candidates)
        quotas = [c.groups * target / weights for c in candidates]
        return apportion(
            lambda x: [x * quota for quota in quotas], target, candidates, lower, upper
        )
