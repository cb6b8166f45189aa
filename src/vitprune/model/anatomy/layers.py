"""Layers: weights that can be pruned, with their role and block in the transformer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from vitprune.model.anatomy.branches import Matrix, find_branches
from vitprune.model.anatomy.ends import (
    ask_classifiers,
    find_stem,
    named_classifiers,
    whole_models,
)
from vitprune.model.anatomy.find_stream import find_stream
from vitprune.model.anatomy.names import BASE_LAYER, BLOCK_PATTERN
from vitprune.model.anatomy.records import Attention, Branch
from vitprune.model.anatomy.stream import Stream
from vitprune.model.anatomy.weights import CONVOLUTIONS, WEIGHT, is_transposed, obstacle, weights_of

BLOCK_ROLES = (
    *("query", "key", "value", "qkv", "attn_out"),
    *("mlp_in", "mlp_gate", "mlp_out"),
)
OUTPUT_ROLES = ("attn_out", "mlp_out")  # layers that write to the residual stream
OTHER_ROLE = "other"  # any other layer
ROLES = (*BLOCK_ROLES, "patch_embed", "classifier", OTHER_ROLE)


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
        branch: Record of the attention or MLP that it belongs to; None elsewhere.
        attribute: Attribute of `module` that holds the weight.
        stream: The residual stream of the model; None if the layer was built without a model.

    """

    name: str
    module: nn.Module
    role: str
    block: int | None
    branch: Branch | None = None
    attribute: str = WEIGHT
    stream: Stream | None = field(default=None, compare=False, repr=False)

    @property
    def heads(self) -> int | None:
        """Number of attention heads of its branch; None outside of attention."""
        return self.branch.heads if isinstance(self.branch, Attention) else None

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

    @property
    def is_depthwise(self) -> bool:
        """Whether it is a convolution that computes each output channel from one input channel."""
        return self.convolution_groups > 1 and self.shape[1] == 1


def find_layers(model: nn.Module) -> list[Layer]:
    """Return the linear and convolutional layers of a model, in the order of its modules.

    If modules share a parameter, the layer is that of the first module. Weights that cannot be
    pruned are left out (see `find_obstacles`).
    """
    return find_structure(model).layers


@dataclass(frozen=True)
class Structure:
    """The layers of a model and the branches that they form.

    Attributes:
        layers: Linear and convolutional layers, in the order of the modules.
        branches: Attentions and MLPs, in the order of the modules.
        mismatches: Why a module with the layer names of an attention or MLP is not used as one, by
            module name.
        streams: The residual streams; several if parts of the module are whole models.

    """

    layers: list[Layer]
    branches: list[Branch]
    mismatches: dict[str, str]
    streams: list[Stream]

    @property
    def stream(self) -> Stream:
        """The residual stream, that of the first model if there are several."""
        return self.streams[0]


def find_structure(model: nn.Module) -> Structure:
    """Return the layers of a model and the attentions and MLPs that they form.

    Raises:
        UsageError: If a module does not fit its declaration.

    """
    modules = dict(model.named_modules())
    blocks = block_names(model)
    plain = {
        _layer_name(module_name, attribute): (modules[module_name], attribute)
        for module_name, attribute, why_not in _weights(modules)
        if why_not is None
    }
    weights = {name: getattr(module, attribute) for name, (module, attribute) in plain.items()}
    numbers = {
        name: number for name in modules if (number := block_of(f"{name}.", blocks)) is not None
    }
    classifiers = ask_classifiers(model, weights, set(blocks))
    matrices = {name: _matrix(name, *plain[name]) for name in plain if name not in classifiers}
    branches, mismatches = find_branches(model, matrices, numbers)
    owners = {name: branch for branch in branches for name in branch.roles}
    stem = find_stem(model, weights, set(blocks))
    if not classifiers and (branches or stem):
        rest = [name for name in weights if name not in owners and name not in stem]
        classifiers = named_classifiers(rest, set(blocks))
    found: dict[int, Layer] = {}
    for name, (module, attribute) in plain.items():
        branch = owners.get(name)
        if branch is not None:
            role = branch.roles[name]
        elif name in classifiers:
            role = "classifier"
        else:
            role = "patch_embed" if name in stem else OTHER_ROLE
        layer = Layer(name, module, role, block_of(name, blocks), branch, attribute)
        found.setdefault(id(layer.weight), layer)
    layers = list(found.values())
    models = whole_models(model, weights, set(blocks)) or [""]
    streams = {
        name: find_stream(model, layers, branches, [other for other in models if other != name])
        for name in models
    }
    return Structure(
        [replace(layer, stream=_stream_around(layer, streams)) for layer in layers],
        branches,
        mismatches,
        list(streams.values()),
    )


def _stream_around(layer: Layer, streams: Mapping[str, Stream]) -> Stream:
    """Return the residual stream of the model that a layer belongs to."""
    inside = (stream for name, stream in streams.items() if layer.name.startswith(f"{name}."))
    return next(inside, next(iter(streams.values())))


def _matrix(name: str, module: nn.Module, attribute: str) -> Matrix:
    outputs, inputs = Layer(name, module, OTHER_ROLE, None, None, attribute).matrix_shape
    return Matrix(name, outputs, inputs, isinstance(module, CONVOLUTIONS))


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


def block_names(model: nn.Module) -> list[str]:
    """Return the names of the transformer blocks of a model, in order; not those of stages."""
    modules = {name: m for name, m in model.named_modules() if BLOCK_PATTERN.fullmatch(name)}
    whole = tuple(f"{name}." for name, module in modules.items() if _is_list_of_branches(module))
    names = [name for name in modules if not name.startswith(whole)]
    return [name for name in names if not any(inner.startswith(f"{name}.") for inner in names)]


def _is_list_of_branches(module: nn.Module) -> bool:
    """Return whether a module lists the attention and the MLP of a block, as in vit-pytorch."""
    return isinstance(module, nn.ModuleList) and len({type(child) for child in module}) > 1


def block_of(name: str, blocks: Sequence[str]) -> int | None:
    """Return the number of the block (see `block_names`) that holds a name; None outside."""
    return next((index for index, block in enumerate(blocks) if name.startswith(f"{block}.")), None)
