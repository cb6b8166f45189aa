"""Layers: weights that can be pruned, with their role and block in the transformer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from vitprune.model.anatomy.weights import WEIGHT, is_transposed, obstacle, weights_of

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
OTHER_ROLE = "other"  # any other layer
ROLES = (*ROLE_PATTERNS, OTHER_ROLE)
BASE_LAYER = "base_layer"  # where peft keeps the layer that it adapts
PEFT_PATTERN = re.compile(rf"\.({BASE_LAYER}|original_module|modules_to_save\.[^.]+)(?=\.|$)")
BLOCK_PATTERN = re.compile(r"(?:.*\.)?(?:layers?|blocks?)\.\d+(?:\.\d+)*")


@dataclass(frozen=True)
class Layer:
    """A linear or convolutional weight, and its place in a transformer.

    Attributes:
        name: Dotted name of `module` in the model; for an input projection of attention the name
            of its parameter without `_weight`, such as `attention.in_proj`.
        module: Module that owns the weight.
        role: One of `ROLES`.
        block: Number of the transformer block, counted through all stages; None outside of the
            blocks.
        heads: Number of attention heads of the module around it; None outside of attention.
        attribute: Attribute of `module` that holds the weight.

    """

    name: str
    module: nn.Module
    role: str
    block: int | None
    heads: int | None = None
    attribute: str = WEIGHT

    @property
    def weight(self) -> nn.Parameter:
        """The weight, (out, in, ...), or (in, out, ...) if `is_transposed`."""
        weight: nn.Parameter = getattr(self.module, self.attribute)
        return weight

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias, (out,); None if the layer has none, or one that is not a parameter."""
        bias = getattr(self.module, self.attribute.replace("weight", "bias"), None)
        return bias if isinstance(bias, nn.Parameter) else None

    @property
    def parameter_name(self) -> str:
        """Dotted name of the weight in the model."""
        if self.attribute != WEIGHT:
            return f"{self.name}_{WEIGHT}"
        return f"{self.name}.{WEIGHT}" if self.name else WEIGHT

    @property
    def shape(self) -> torch.Size:
        """Shape of the weight; of the whole weight if it is sharded."""
        return self.weight.shape

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Shape of the weight as a matrix, (out, in); `in` counts all weights of one output."""
        first, second = self.shape[:2]
        outputs = second * self.convolution_groups if self.is_transposed else first
        return outputs, self.shape.numel() // outputs

    @property
    def is_transposed(self) -> bool:
        """Whether the weight is (in, out, ...), as in ConvTranspose2d and in GPT-2's Conv1D."""
        return is_transposed(self.module)

    @property
    def convolution_groups(self) -> int:
        """Number of groups of a convolution; 1 for any other layer."""
        return getattr(self.module, "groups", 1)


def find_layers(model: nn.Module) -> list[Layer]:
    """Return the linear and convolutional layers of a model, in the order of its modules.

    If modules share a parameter, the layer is that of the first module. Weights that cannot be
    pruned are left out (see `find_obstacles`).
    """
    modules = dict(model.named_modules())
    blocks = block_names(model)
    found: dict[int, Layer] = {}
    for module_name, attribute, why_not in _weights(modules):
        if why_not is None:
            name = _layer_name(module_name, attribute)
            layer = Layer(
                name,
                modules[module_name],
                role_of(name),
                block_of(name, blocks),
                _heads_of(name, modules),
                attribute,
            )
            found.setdefault(id(layer.weight), layer)
    return list(found.values())


def find_obstacles(model: nn.Module) -> dict[str, str]:
    """Return why linear and convolutional weights of a model cannot be pruned, by layer name.

    They are not ordinary floating-point parameters (but parametrized, recomputed by a hook,
    quantized or lazy), or belong to an adapter of peft.
    """
    return {
        _layer_name(module_name, attribute): why_not
        for module_name, attribute, why_not in _weights(dict(model.named_modules()))
        if why_not is not None
    }


def _weights(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, str, str | None]]:
    """Yield module name, attribute, and why it cannot be pruned (or None), for each weight."""
    for name, module in modules.items():
        for attribute in weights_of(module):
            adapter = "part of an adapter" if _is_in_adapter(name, modules) else None
            yield name, attribute, adapter or obstacle(module, attribute)


def _is_in_adapter(name: str, modules: Mapping[str, nn.Module]) -> bool:
    """Return whether a module of this name belongs to an adapter of peft around a base layer."""
    while name:
        name, _, child = name.rpartition(".")
        if child != BASE_LAYER and hasattr(modules[name], BASE_LAYER):
            return True
    return False


def _layer_name(module: str, attribute: str) -> str:
    if attribute == WEIGHT:
        return module
    return f"{module}.{attribute}".removeprefix(".").removesuffix(f"_{WEIGHT}")


def _heads_of(name: str, modules: Mapping[str, nn.Module]) -> int | None:
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
    name = PEFT_PATTERN.sub("", name)
    return next(
        (role for role, end in ROLE_PATTERNS.items() if re.search(rf"(^|\.){end}$", name)),
        OTHER_ROLE,
    )


def block_of(name: str, blocks: Sequence[str]) -> int | None:
    """Return the number of the block (see `block_names`) that holds a name; None outside."""
    return next((index for index, block in enumerate(blocks) if name.startswith(f"{block}.")), None)
