"""Compensation by the mean of what is pruned."""

from torch import Tensor

from vitprune.pruning.compensation.compensation import Compensation


class Mean(Compensation):
    """The mean of pruned neurons, value dimensions, heads and branches goes into the next bias.

    Query/key dimensions have none that matters: softmax ignores it. Layers without a bias stay as
    they are.

    Source: Variance-Based Pruning, arXiv 2507.12988.

    Cost: see `Compensation`.
    """

    def coefficients(self, moments: Tensor, kept: Tensor) -> Tensor:
        """Return zeros: kept activations predict nothing."""
        return moments.new_zeros(int((~kept).sum()), int(kept.sum()))
