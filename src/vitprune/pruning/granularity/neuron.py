"""MLP neurons."""

import math
from collections.abc import Sequence

from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Dimension, Mlp
from vitprune.pruning.granularity.coupled import MLP, Coupled, by_branch, check_inner_norms
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.views import by_column, by_row


class Neuron(Coupled):
    """A hidden unit of an MLP: its row of mlp_in and of the gate, and its column of mlp_out.

    At least one neuron is kept in each MLP. A depthwise convolution of the neurons is not pruned.
    With `loadable`, DINOv2 keeps multiples of its hidden size, the only widths that its
    configuration can express.

    Source: Srinivas and Babu 2015; McCarley et al. 2019 for transformers.
    """

    roles = MLP
    dimensions = ("neurons",)

    def couple(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (neurons,) for each MLP."""
        groupings = []
        branches = by_branch(layers, self, Mlp)
        check_inner_norms([mlp for mlp, _ in branches], self, "neurons")
        for mlp, found in branches:
            inputs = [mlp.up, mlp.gate] if mlp.gate else [mlp.up]
            parts = [Part.of_rows(found[rows.layer], rows, by_row) for rows in inputs]
            parts.append(Part(found[mlp.down], by_column))
            round_to = math.lcm(self.round_to, mlp.increment) if self.loadable else None
            dimension = Dimension("neurons", mlp)
            groupings.append(self.grouping(parts, dimension, round_to=round_to))
        return groupings
