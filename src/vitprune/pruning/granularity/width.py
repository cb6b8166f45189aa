"""Channels of the residual stream."""

from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import BLOCK_ROLES, Layer
from vitprune.model.anatomy.records import Dimension
from vitprune.model.anatomy.stream import Stream
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.layer_listing import shortened

FLOOR = 8  # at least an eighth of the channels is kept


class Width(Granularity):
    """A channel of the residual stream, for the whole model one group each.

    A group has the row of every layer that writes to the stream and the column of every layer that
    reads it. Scored and counted are the weights of the selected layers, by default those of the
    blocks. The entries of all other parameters are pruned with them: biases, patch embedding,
    tokens, position embeddings, norms, LayerScale and classifier. Norms normalise over the kept
    channels, so the model is the one whose tensors have only these.

    At least an eighth of the channels is kept. Models without one stream, such as Swin, are
    refused.

    Source: Fang et al. 2023; Muralidharan et al. 2024.

    Args:
        round_to: Divisor of the number of channels that are kept; must divide their number.

    """

    roles = BLOCK_ROLES
    dimensions = ("width",)
    ranked_together = True

    def __init__(self, round_to: int = 1) -> None:
        if round_to < 1:
            raise UsageError(f"round_to must be at least 1, not {round_to}.")
        self.round_to = round_to

    def groupings(self, layers: Sequence[Layer]) -> list[Grouping]:
        """Return (channels,) for the whole model."""
        if not layers:
            return []
        stream = self._stream(layers)
        chosen = {layer.parameter_name: layer for layer in layers}
        parts = [
            Part(chosen[entries.name], entries.by_channel)
            for entries in stream.entries
            if entries.name in chosen
        ]
        companions = [entries for entries in stream.entries if entries.name not in chosen]
        if stream.channels % self.round_to:
            raise UsageError(
                f"round_to {self.round_to} does not divide the {stream.channels} channels of the "
                f"residual stream. Set it to a divisor of {stream.channels}."
            )
        return [
            Grouping(
                tuple(parts),
                round_to=self.round_to,
                survivors=-(-stream.channels // FLOOR // self.round_to) * self.round_to,
                companions=tuple(companions),
                dimension=Dimension("width"),
            )
        ]

    def _stream(self, layers: Sequence[Layer]) -> Stream:
        """Return the residual stream of the layers.

        Raises:
            UsageError: If the model has no stream of one width, or layers of a block are left out.

        """
        stream = layers[0].stream
        if stream is None or stream.obstacle is not None:
            reason = "" if stream is None else f": {stream.obstacle}"
            raise UsageError(
                f"{self} needs a residual stream of one width from the stem to the classifier"
                f"{reason}. Use another granularity, such as Neuron."
            )
        known = {entries.name for entries in stream.entries}
        if others := [layer.name for layer in layers if layer.parameter_name not in known]:
            raise UsageError(
                f"{self} prunes layers that read or write the residual stream, which "
                f"{shortened(others)} do not. Exclude them by pruning.layers.exclude."
            )
        chosen = {layer.parameter_name for layer in layers}
        left_out = [
            entries.name
            for entries in stream.entries
            if entries.name in stream.weights
            and entries.name not in chosen
            and entries.parameter.requires_grad
        ]
        if left_out:
            raise UsageError(
                f"{self} prunes channels of the whole model, but pruning.layers leaves out "
                f"{shortened(left_out)}. Select all attentions and MLPs of the blocks."
            )
        return stream
