"""MLP neurons."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.coupled import MLP, Coupled, by_block
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.granularity.views import by_column, by_row


class Neuron(Coupled):
    """A hidden unit of an MLP: its row of mlp_in and its column of mlp_out.

    At least one neuron is kept in each MLP.

    Source: Srinivas and Babu 2015; McCarley et al. 2019 for transformers.
    """

    roles = MLP

    def couple(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (neurons,) for each block."""
        return [
            self.grouping(pair, (by_row, by_column), pair[0].shape[0])
            for pair in by_block(layers, self)
        ]
