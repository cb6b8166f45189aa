"""Attention and MLP branches."""

from collections.abc import Sequence

from torch import Tensor

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.granularity.coupled import check_roles
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.units import Part, Unit


class Branch(Granularity):
    """The attention or the MLP branch of a whole layer: attn_out or mlp_out with its bias, so that
    it adds nothing any more.

    Source: Fan et al. 2020, who drop whole layers.
    """

    roles = ("attn_out", "mlp_out")
    ranked_together = True

    def units(self, layers: Sequence[Layer]) -> list[Unit]:
        """(1,) for each branch."""
        check_roles(layers, self)
        return [
            Unit((Part(layer, as_one_group),), biases=(layer,) if layer.has_bias else ())
            for layer in layers
        ]


def as_one_group(tensor: Tensor) -> Tensor:
    return tensor.unsqueeze(0)  # (1, out, in)
