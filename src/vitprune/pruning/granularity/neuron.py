"""MLP neurons."""

from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Dimension, Mlp
from vitprune.pruning.granularity.coupled import MLP, Coupled, by_branch, check_inner_norm
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.views import by_column, by_row


class Neuron(Coupled):
    """A hidden unit of an MLP: its row of mlp_in and of the gate, and its column of mlp_out.

    At least one neuron is kept in each MLP. A depthwise convolution of the neurons is not pruned.

    Source: Srinivas and Babu 2015; McCarley et al. 2019 for transformers.
    """

    roles = MLP
    dimensions = ("neurons",)

    def couple(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (neurons,) for each MLP."""
        groupings = []
        for mlp, found in by_branch(layers, self, Mlp):
            check_inner_norm(mlp, self, "neurons")
            inputs = [mlp.up, mlp.gate] if mlp.gate else [mlp.up]
            parts = [Part.of_rows(found[rows.layer], rows, by_row) for rows in inputs]
            parts.append(Part(found[mlp.down], by_column))
            groupings.append(self.grouping(parts, Dimension("neurons", mlp)))
        return groupings
