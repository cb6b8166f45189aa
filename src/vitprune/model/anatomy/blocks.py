"""Transformer blocks that can be made narrower, and how Hugging Face names their widths."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import BLOCK_ROLES, block_names, find_layers

# Families whose blocks are pre-norm attention and a two-layer MLP, both added to the residual
# stream as they are, with widths that the configuration names. DINOv2 scales its branches and BEiT
# adds a bias for each pair of positions and head.
NARROW_FAMILIES = ("vit", "deit", "vit_msn", "ijepa")


@dataclass(frozen=True)
class Widths:
    """The inner widths of a transformer block.

    Attributes:
        heads: Number of attention heads; 0 if there is no attention.
        head_dim: Dimensions of a head, the same for query, key and value.
        neurons: Width of the MLP; 0 if there is none.

    """

    heads: int
    head_dim: int
    neurons: int

    @classmethod
    def cover(cls, widths: Iterable["Widths"]) -> "Widths":
        """Return the smallest common widths, at least 1 each."""
        parts = [(1, 1, 1), *((w.heads, w.head_dim, w.neurons) for w in widths)]
        return cls(*map(max, zip(*parts, strict=True)))


@dataclass(frozen=True)
class Block:
    """A transformer block that can be made narrower.

    Attributes:
        name: Its dotted name in the model.
        module: The block itself.
        linear: Its linear layers by role, `BLOCK_ROLES`; those of a branch that went away are
            missing.

    """

    name: str
    module: nn.Module
    linear: dict[str, nn.Linear]

    @property
    def widths(self) -> Widths:
        """The widths that the block has."""
        attention = self.module.attention
        heads, head_dim = (
            getattr(attention, "num_attention_heads", 0),
            getattr(attention, "head_dim", 0),
        )
        return Widths(
            heads, head_dim, self.linear["mlp_in"].out_features if "mlp_in" in self.linear else 0
        )

    def set_widths(self, widths: Widths) -> None:
        """Tell the block that its linear layers have other widths now; without heads or neurons that branch goes away."""
        if widths.heads:
            attention: Any = self.module.attention
            attention.num_attention_heads, attention.head_dim = widths.heads, widths.head_dim
            attention.scaling = widths.head_dim**-0.5
        else:
            self.module.layernorm_before, self.module.attention = nn.Identity(), NoAttention()
        if not widths.neurons:
            self.module.layernorm_after, self.module.mlp = nn.Identity(), NoMLP()


class NoMLP(nn.Module):
    """A branch that adds nothing to the residual stream."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Return zero, ()."""
        return hidden.new_zeros(())


class NoAttention(nn.Module):
    """The same in place of an attention."""

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        """Return zero, (), and no attention weights."""
        return hidden.new_zeros(()), None


def find_blocks(model: PreTrainedModel) -> list[Block]:
    """Return the transformer blocks of a model that can be made narrower, in order.

    Raises:
        UsageError: If the model is of a family whose blocks are built otherwise.

    """
    family = model.config.model_type
    if family not in NARROW_FAMILIES:
        raise UsageError(
            f"models of type {family!r} cannot be shrunk, only {', '.join(NARROW_FAMILIES)}."
        )
    names, found = block_names(model), dict[str, dict[str, nn.Linear]]()
    for layer in find_layers(model):
        if layer.role in BLOCK_ROLES and layer.block is not None:
            assert isinstance(layer.module, nn.Linear)
            found.setdefault(names[layer.block], {})[layer.role] = layer.module
    return [Block(name, model.get_submodule(name), linear) for name, linear in found.items()]


def vision_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return the part of a configuration that is about images: of models of image and text (CLIP), it has one of its own."""
    return getattr(config, "vision_config", config)


def image_shape(config: PreTrainedConfig) -> tuple[int, int, int]:
    """Return the shape of the images of a model, (channels, height, width)."""
    vision = vision_config(config)
    size = vision.image_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return vision.num_channels, height, width


def read_widths(config: PreTrainedConfig) -> Widths:
    """Return the widths that a configuration gives to every block."""
    heads = config.num_attention_heads
    return Widths(
        heads, getattr(config, "head_dim", config.hidden_size // heads), config.intermediate_size
    )


def with_widths(config: PreTrainedConfig, widths: Widths, blocks: int) -> PreTrainedConfig:
    """Return a copy of a configuration with other widths and another number of blocks, as plain `transformers` reads it."""
    changed = copy.deepcopy(config)
    changed.num_attention_heads, changed.intermediate_size = widths.heads, widths.neurons
    changed.num_hidden_layers = blocks
    changed.head_dim = widths.head_dim
    return changed


def activation(config: PreTrainedConfig) -> nn.Module:
    """Return the function between the two layers of the MLP."""
    return ACT2FN[config.hidden_act]


def position_embeddings(model: PreTrainedModel) -> nn.Parameter:
    """Return what is added to every token before the first block, (1, tokens, D)."""
    return next(
        value for name, value in model.named_parameters() if name.endswith("position_embeddings")
    )
