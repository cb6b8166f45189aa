"""The layers of a Vision Transformer: their role, block and attention heads, from their names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

# The first pattern that matches the end of a module's name gives its role. Both conventions are
# known: that of transformers 5 (q_proj) and the older one (attention.query), which some families
# still use.
ROLE_PATTERNS = {
    "query": r"(q_proj|attention\.(self\.)?query)",
    "key": r"(k_proj|attention\.(self\.)?key)",
    "value": r"(v_proj|attention\.(self\.)?value)",
    "attn_out": r"(o_proj|self_attn\.out_proj|attention\.output\.dense)",
    "mlp_in": r"(mlp\.fc1|intermediate\.dense)",
    "mlp_out": r"(mlp\.fc2|output\.dense)",
    "patch_embed": r"(patch_embeddings?\.projection|patch_embed\.proj|embeddings\.patch_embedding)",
    "classifier": r"(\w*classifier)",
}
BLOCK_ROLES = ("query", "key", "value", "attn_out", "mlp_in", "mlp_out")
OTHER_ROLE = "other"  # any other linear or convolutional layer
ROLES = (*ROLE_PATTERNS, OTHER_ROLE)
BLOCK_PATTERN = re.compile(r"(?:.*\.)?(?:layers?|blocks?)\.\d+(?:\.\d+)*")


@dataclass(frozen=True)
class Layer:
    """A layer with a weight matrix, and its place in the transformer.

    Attributes:
        name: Dotted name in the model.
        module: Module that owns `weight`, of shape (out, in) or (out, in, height, width).
        role: One of `ROLES`.
        block: Number of the transformer block, counted through all stages; None outside of the
            blocks.
        heads: Number of attention heads of the module around it; None outside of attention.

    """

    name: str
    module: nn.Module
    role: str
    block: int | None
    heads: int | None = None

    @property
    def weight(self) -> nn.Parameter:
        """The weight."""
        module: Any = self.module
        return module.weight

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias; None if there is none."""
        return getattr(self.module, "bias", None)

    @property
    def parameter_name(self) -> str:
        """Dotted name of the weight in the model."""
        return f"{self.name}.weight"

    @property
    def shape(self) -> torch.Size:
        """Shape of the weight, without computing the weight."""
        module = self.module
        if isinstance(module, nn.Conv2d):
            return torch.Size(
                (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
            )
        assert isinstance(module, nn.Linear)
        return torch.Size((module.out_features, module.in_features))


def find_layers(model: nn.Module) -> list[Layer]:
    """Return every linear and convolutional layer of a model, in the order of its modules."""
    modules, blocks = dict(model.named_modules()), block_names(model)
    return [
        Layer(name, module, role_of(name), block_of(name, blocks), _heads_of(name, modules))
        for name, module in modules.items()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]


def _heads_of(name: str, modules: dict[str, nn.Module]) -> int | None:
    """Read the number of heads from the module around a layer, or from the one around that."""
    parent = name.rpartition(".")[0]
    for module in (modules.get(parent), modules.get(parent.rpartition(".")[0])):
        for attribute in ("num_attention_heads", "num_heads"):
            heads = getattr(module, attribute, None)
            if isinstance(heads, int):
                return heads
    return None


def block_names(model: nn.Module) -> list[str]:
    """Return the names of the transformer blocks of a model, in order; not those of stages."""
    names = [name for name, _ in model.named_modules() if BLOCK_PATTERN.fullmatch(name)]
    return [name for name in names if not any(inner.startswith(f"{name}.") for inner in names)]


def role_of(name: str) -> str:
    """Return the role of a layer of this name, one of `ROLES`."""
    return next(
        (role for role, end in ROLE_PATTERNS.items() if re.search(rf"(^|\.){end}$", name)),
        OTHER_ROLE,
    )


def block_of(name: str, blocks: Sequence[str]) -> int | None:
    """Return the number of the block (see `block_names`) that holds a name; None outside."""
    return next((index for index, block in enumerate(blocks) if name.startswith(f"{block}.")), None)
