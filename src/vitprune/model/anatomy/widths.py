"""The inner widths of transformer blocks, and how configurations of `transformers` name them."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PreTrainedConfig


@dataclass(frozen=True)
class Widths:
    """The inner widths of a transformer block.

    Attributes:
        heads: Number of attention heads; 0 without attention.
        head_dim: Dimensions of a head, the same for query, key and value.
        neurons: Width of the MLP; 0 without MLP.

    """

    heads: int
    head_dim: int
    neurons: int

    @classmethod
    def cover(cls, widths: Iterable["Widths"]) -> "Widths":
        """Return the smallest common widths, at least 1 each."""
        parts = [(1, 1, 1), *((w.heads, w.head_dim, w.neurons) for w in widths)]
        return cls(*map(max, zip(*parts, strict=True)))


def read_widths(config: PreTrainedConfig) -> Widths:
    """Return the widths that a configuration gives to every block."""
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", config.hidden_size // heads)
    return Widths(heads, head_dim, config.intermediate_size)


def with_widths(config: PreTrainedConfig, widths: Widths, blocks: int) -> PreTrainedConfig:
    """Return a copy of a configuration with other widths and another number of blocks."""
    changed = copy.deepcopy(config)
    changed.num_attention_heads = widths.heads
    changed.head_dim = widths.head_dim
    changed.intermediate_size = widths.neurons
    changed.num_hidden_layers = blocks
    return changed
