"""Attention and MLP branches."""

from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Dimension
from vitprune.pruning.granularity.coupled import check_roles
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.granularity.views import as_one_group
from vitprune.pruning.layer_listing import shortened


class Branch(Granularity):
    """The attention or the MLP branch of a whole block: attn_out or mlp_out with its bias.

    A pruned branch adds nothing to the residual stream. Layers outside of the blocks, such as those
    of a pooling head, are not pruned; naming them is an error.

    Source: Fan et al. 2020, who drop whole layers.
    """

    roles = ("attn_out", "mlp_out")
    dimensions = ("branch",)
    ranked_together = True
    only_blocks = True

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (1,) for each branch."""
        check_roles(layers, self)
        if outside := [layer.name for layer in layers if layer.block is None]:
            raise UsageError(
                f"{self} prunes what blocks add to the residual stream, and these layers are "
                f"outside of the blocks: {shortened(outside)}. Exclude them by "
                "pruning.layers.exclude."
            )
        return [
            Grouping(
                (Part(layer, as_one_group),),
                biases=(layer,) if layer.bias is not None else (),
                dimension=Dimension("branch", layer.branch),
            )
            for layer in layers
        ]
