"""Transformer blocks that can be shrunk: made narrower, or without attention or MLP."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import BLOCK_ROLES, block_names, find_layers
from vitprune.model.anatomy.widths import Widths

# Families whose blocks are pre-norm attention and a two-layer MLP, both added unscaled to the
# residual stream, with widths that the configuration names. DINOv2 scales its branches, and BEiT
# adds a bias for each pair of positions and each head.
NARROW_FAMILIES = ("vit", "deit", "vit_msn", "ijepa")


@dataclass(frozen=True)
class Block:
    """A transformer block that can be shrunk.

    Attributes:
        name: Dotted name in the model.
        module: The block.
        linear: Linear layers by role, `BLOCK_ROLES`, without those of a removed branch.

    """

    name: str
    module: nn.Module
    linear: dict[str, nn.Linear]

    @property
    def widths(self) -> Widths:
        """Current widths of the block."""
        attention = self.module.attention
        return Widths(
            heads=getattr(attention, "num_attention_heads", 0),
            head_dim=getattr(attention, "head_dim", 0),
            neurons=self.linear["mlp_in"].out_features if "mlp_in" in self.linear else 0,
        )

    def set_widths(self, widths: Widths) -> None:
        """Adapt the block to linear layers of other widths; a branch of width 0 is removed."""
        if widths.heads:
            attention: Any = self.module.attention
            attention.num_attention_heads = widths.heads
            attention.head_dim = widths.head_dim
            attention.scaling = widths.head_dim**-0.5
        else:
            self.module.layernorm_before = nn.Identity()
            self.module.attention = NoAttention()
        if not widths.neurons:
            self.module.layernorm_after = nn.Identity()
            self.module.mlp = NoMLP()


class NoMLP(nn.Module):
    """Removed MLP: adds nothing to the residual stream."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Return zero, ()."""
        return hidden.new_zeros(())


class NoAttention(nn.Module):
    """Removed attention: adds nothing to the residual stream."""

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        """Return zero, (), and no attention weights."""
        return hidden.new_zeros(()), None


def find_blocks(model: PreTrainedModel) -> list[Block]:
    """Return the transformer blocks of a model that can be shrunk, in order.

    Raises:
        UsageError: If the family of the model is not one of `NARROW_FAMILIES`.

    """
    family = model.config.model_type
    if family not in NARROW_FAMILIES:
        raise UsageError(
            f"models of type {family!r} cannot be shrunk. Valid are {', '.join(NARROW_FAMILIES)}."
        )
    names = block_names(model)
    found: dict[str, dict[str, nn.Linear]] = {}
    for layer in find_layers(model):
        if layer.role in BLOCK_ROLES and layer.block is not None:
            assert isinstance(layer.module, nn.Linear)
            found.setdefault(names[layer.block], {})[layer.role] = layer.module
    return [Block(name, model.get_submodule(name), linear) for name, linear in found.items()]


def activation(config: PreTrainedConfig) -> nn.Module:
    """Return the activation function of the MLP."""
    return ACT2FN[config.hidden_act]


def position_embeddings(model: PreTrainedModel) -> nn.Parameter:
    """Return the position embeddings, (1, tokens, D)."""
    return next(
        value for name, value in model.named_parameters() if name.endswith("position_embeddings")
    )
