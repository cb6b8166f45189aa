"""The only file that knows how Hugging Face names the parts of a Vision Transformer."""

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN

from vitprune.errors import UsageError

# The first pattern that matches the end of a module's name gives its role. Both generations of names are known: those of
# transformers 5 (q_proj) and the older ones (attention.query), which some families still use.
ROLE_PATTERNS = {
    "query": r"(q_proj|attention\.query)",
    "key": r"(k_proj|attention\.key)",
    "value": r"(v_proj|attention\.value)",
    "attn_out": r"(o_proj|attention\.output\.dense)",
    "mlp_in": r"(mlp\.fc1|intermediate\.dense|mlp\.weights_in)",
    "mlp_out": r"(mlp\.fc2|output\.dense|mlp\.weights_out)",
    "patch_embed": r"(patch_embeddings?\.projection|patch_embed\.proj)",
    "classifier": r"(\w*classifier)",
}
OTHER_ROLE = "other"  # any other linear or convolutional layer
ROLES = (*ROLE_PATTERNS, OTHER_ROLE)
BLOCK_PATTERN = re.compile(r"(?:^|\.)(?:layers?|blocks?)\.(\d+)\.")


@dataclass(frozen=True)
class Layer:
    """A layer with a weight matrix, and its place in the transformer.

    Attributes:
        name: Its dotted name in the model.
        module: The module that owns `weight`, of shape (out, in) or (out, in, height, width).
        role: One of `ROLES`.
        block: Index of its transformer block; None outside of the blocks.
        heads: Number of attention heads of the module that it is a part of; None outside of attention.

    """

    name: str
    module: nn.Module
    role: str
    block: int | None
    heads: int | None = None

    @property
    def weight(self) -> Tensor:
        """The weight as the forward pass sees it."""
        return self.module.weight  # type: ignore[return-value]

    @property
    def shape(self) -> torch.Size:
        """The shape of the weight, without computing it."""
        module = self.module
        if isinstance(module, nn.Conv2d):
            return torch.Size((module.out_channels, module.in_channels // module.groups, *module.kernel_size))
        assert isinstance(module, nn.Linear)
        return torch.Size((module.out_features, module.in_features))

    @property
    def has_bias(self) -> bool:
        """Whether the module adds a bias."""
        return any("bias" in name for name, _ in self.module.named_parameters())  # under a mask it has another name


def find_layers(model: nn.Module) -> list[Layer]:
    """Return every linear and convolutional layer of a model, in the order of its modules."""
    modules = dict(model.named_modules())
    return [
        Layer(name, module, role_of(name), block_of(name), _heads_of(name, modules))
        for name, module in modules.items()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]


def _heads_of(name: str, modules: dict[str, nn.Module]) -> int | None:
    """Ask the module that a layer is a part of, or the one around that."""
    parent = name.rpartition(".")[0]
    for module in (modules.get(parent), modules.get(parent.rpartition(".")[0])):
        for attribute in ("num_attention_heads", "num_heads"):
            heads = getattr(module, attribute, None)
            if isinstance(heads, int):
                return heads
    return None


def blocks(model: nn.Module) -> list[nn.Module]:
    """Return the transformer blocks of a model, in order."""
    return [module for name, module in model.named_modules() if re.search(rf"{BLOCK_PATTERN.pattern}$", f"{name}.")]


def role_of(name: str) -> str:
    """Return the role of a layer of this name, one of `ROLES`."""
    return next((role for role, end in ROLE_PATTERNS.items() if re.search(rf"(^|\.){end}$", name)), OTHER_ROLE)


def block_of(name: str) -> int | None:
    """Return the index of the block that a layer of this name is in; None outside of the blocks."""
    found = BLOCK_PATTERN.search(name)
    return int(found.group(1)) if found else None


# Families whose blocks are pre-norm attention and a two-layer MLP, both added to the residual stream as they are, with widths
# that the configuration names. DINOv2 scales its branches and BEiT adds a bias for each pair of positions and head.
NARROW_FAMILIES = ("vit", "deit", "vit_msn", "ijepa")
BLOCK_ROLES = ("query", "key", "value", "attn_out", "mlp_in", "mlp_out")


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
        linear: Its linear layers by role, `BLOCK_ROLES`; those of a branch that went away are missing.

    """

    name: str
    module: nn.Module
    linear: dict[str, nn.Linear]

    @property
    def widths(self) -> Widths:
        """The widths that the block has."""
        attention = self.module.attention
        heads, head_dim = getattr(attention, "num_attention_heads", 0), getattr(attention, "head_dim", 0)
        return Widths(heads, head_dim, self.linear["mlp_in"].out_features if "mlp_in" in self.linear else 0)

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
        raise UsageError(f"models of type {family!r} cannot be shrunk, only {', '.join(NARROW_FAMILIES)}.")
    found: dict[str, dict[str, nn.Linear]] = {}
    for layer in find_layers(model):
        if layer.role in BLOCK_ROLES and (place := BLOCK_PATTERN.search(layer.name)):
            found.setdefault(layer.name[: place.end() - 1], {})[layer.role] = layer.module  # type: ignore[assignment]
    return [Block(name, model.get_submodule(name), linear) for name, linear in found.items()]


def read_widths(config: PreTrainedConfig) -> Widths:
    """Return the widths that a configuration gives to every block."""
    heads = config.num_attention_heads
    return Widths(heads, getattr(config, "head_dim", config.hidden_size // heads), config.intermediate_size)


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
    return next(value for name, value in model.named_parameters() if name.endswith("position_embeddings"))
