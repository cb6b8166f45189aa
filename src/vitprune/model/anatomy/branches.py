"""Finding attentions and MLPs by the names of the layers in a module."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.names import (
    ATTENTION,
    BASE_LAYER,
    MLP,
    ROTARY_PATTERN,
    Alternatives,
    AttentionNames,
    MlpNames,
    alternatives,
    declared_names,
    required,
)
from vitprune.model.anatomy.records import Attention, Branch, Mlp, Rotary, Rows
from vitprune.model.anatomy.widths import increment_of_neurons


@dataclass(frozen=True)
class Matrix:
    """A weight as a matrix.

    Attributes:
        layer: Name of its layer.
        outputs: Number of outputs.
        inputs: Number of inputs.
        is_convolution: Whether it is the weight of a convolution.

    """

    layer: str
    outputs: int
    inputs: int
    is_convolution: bool


class MismatchError(Exception):
    """A module has the layer names of an attention or MLP, but not its shapes."""


@dataclass(frozen=True)
class Parts:
    """A module, and the weights of the model.

    Attributes:
        name: Dotted name of the module.
        module: The module.
        matrices: The weights that can be pruned, by layer name.
        configs: The configurations of modules that have one, by module name.

    """

    name: str
    module: nn.Module
    matrices: Mapping[str, Matrix]
    configs: Mapping[str, object]

    def matrix(self, names: Alternatives) -> Matrix | None:
        """Return the first weight that has one of these names in the module."""
        prefix = f"{self.name}." if self.name else ""
        for name in alternatives(names):
            for full in (f"{prefix}{name}", f"{prefix}{name}.{BASE_LAYER}"):
                if full in self.matrices:
                    return self.matrices[full]
        return None

    @property
    def count(self) -> int:
        """Number of weights in the module."""
        prefix = f"{self.name}." if self.name else ""
        return sum(layer.startswith(prefix) for layer in self.matrices)

    @property
    def config(self) -> object | None:
        """Configuration of the innermost module around it that has one."""
        around = [
            owner for owner in self.configs if not owner or f"{self.name}.".startswith(f"{owner}.")
        ]
        return self.configs[max(around, key=len)] if around else None

    def attribute(self, names: Alternatives) -> object | None:
        """Return the first attribute of one of these names that is not None."""
        for name in alternatives(names):
            owner, _, attribute = name.rpartition(".")
            found = getattr(_child(self.module, owner), attribute, None)
            if found is not None and not isinstance(found, nn.Identity):
                return found
        return None


def _child(module: nn.Module, name: str) -> nn.Module | None:
    try:
        return module.get_submodule(name)
    except AttributeError:
        return None


def find_branches(
    model: nn.Module, matrices: Mapping[str, Matrix], block_of: Mapping[str, int]
) -> tuple[list[Branch], dict[str, str]]:
    """Return the attentions and MLPs of a model, and the mismatches of other modules.

    Args:
        model: Any module.
        matrices: Its weights that can be pruned, by layer name.
        block_of: Number of the transformer block by the name of each module in a block.

    Returns:
        The records in the order of the modules, and by module name why a module with the layer
        names of an attention or MLP does not have its shapes.

    Raises:
        UsageError: If a module does not fit its declaration.

    """
    rotary = any(ROTARY_PATTERN.fullmatch(name.rpartition(".")[2]) for name, _ in _named(model))
    configs = {name: module.config for name, module in _named(model) if hasattr(module, "config")}
    branches: list[Branch] = []
    refused: dict[str, str] = {}
    for name, module in _named(model):
        declared = declared_names(module)
        parts = Parts(name, module, matrices, configs)
        block = block_of.get(name)
        try:
            found = _read(parts, block, declared, rotary=rotary)
        except MismatchError as mismatch:
            if declared:
                raise UsageError(f"{name} does not fit its declaration: {mismatch}.") from mismatch
            refused[name] = str(mismatch)
            continue
        branches += _without_claimed(found, branches)
    return branches, refused


def _named(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return iter(model.named_modules())


def _without_claimed(found: list[Branch], branches: list[Branch]) -> list[Branch]:
    """Leave out records whose layers belong to another one, such as that of an outer module."""
    claimed = {layer for branch in branches for layer in branch.roles}
    return [branch for branch in found if claimed.isdisjoint(branch.roles)]


def _read(
    parts: Parts, block: int | None, declared: AttentionNames | MlpNames | None, *, rotary: bool
) -> list[Branch]:
    if declared:
        _check_names(parts, declared)
    attention = declared if isinstance(declared, AttentionNames) else ATTENTION
    mlp = declared if isinstance(declared, MlpNames) else MLP
    found: list[Branch | None] = []
    if not isinstance(declared, MlpNames):
        found.append(read_attention(parts, block, attention, rotary=rotary))
    if not isinstance(declared, AttentionNames):
        found.append(read_mlp(parts, block, mlp))
    return [branch for branch in found if branch is not None]


def _check_names(parts: Parts, declared: AttentionNames | MlpNames) -> None:
    for name in required(declared):
        if parts.matrix(name) is None and parts.attribute(name) is None:
            raise MismatchError(f"{type(parts.module).__name__} has no {name!r}")


def read_attention(
    parts: Parts, block: int | None, names: AttentionNames, *, rotary: bool
) -> Attention | None:
    """Return the record of an attention; None if the module is not an attention.

    Raises:
        MismatchError: If the module has the layer names of an attention, but not its shapes.

    """
    inputs = _attention_inputs(parts, names)
    output = parts.matrix(names.output)
    heads = parts.attribute(names.heads)
    if inputs is None or output is None or not isinstance(heads, int):
        return None
    query, key, value = inputs
    widths = {rows.layer: parts.matrices[rows.layer].outputs for rows in inputs}
    for rows in inputs:
        if widths[rows.layer] % (rows.parts * heads):
            parts_of = f"{rows.parts} x " if rows.parts > 1 else ""
            raise MismatchError(
                f"the {widths[rows.layer]} outputs of {rows.layer} do not divide into "
                f"{parts_of}{heads} heads"
            )
    if widths[value.layer] // value.parts != output.inputs:
        raise MismatchError(
            f"{value.layer} computes {widths[value.layer] // value.parts} values, and "
            f"{output.layer} reads {output.inputs}"
        )
    if widths[query.layer] // query.parts != widths[key.layer] // key.parts:
        raise MismatchError(f"{query.layer} and {key.layer} have different widths")
    return Attention(
        parts.name,
        block,
        query,
        key,
        value,
        output.layer,
        heads,
        _pairing(parts) if rotary and block is not None else None,
        parts.attribute(names.score_norm) is not None,
        _has_inner_norm(parts, names, [*widths], output),
    )


def _has_inner_norm(
    parts: Parts, names: AttentionNames, inputs: Sequence[str], output: Matrix
) -> bool:
    """Return whether a norm stands between the inputs and the output, in the order of modules.

    Other norms come before the inputs (vit-pytorch) or after the output (timm's pooling).
    """
    norm = parts.attribute(names.inner_norm)
    if norm is None:
        return False
    prefix = f"{parts.name}." if parts.name else ""
    order = [f"{prefix}{name}" for name, _ in parts.module.named_modules()]
    place = next((i for i, m in enumerate(parts.module.modules()) if m is norm), None)
    if place is None:
        return True
    before = [order.index(name) for name in inputs if name in order]
    return max(before, default=0) < place < order.index(output.layer)


def _attention_inputs(parts: Parts, names: AttentionNames) -> tuple[Rows, Rows, Rows] | None:
    if fused := parts.matrix(names.qkv):
        return Rows(fused.layer, 0, 3), Rows(fused.layer, 1, 3), Rows(fused.layer, 2, 3)
    query = parts.matrix(names.query)
    if query and (fused := parts.matrix(names.kv)):
        return Rows(query.layer), Rows(fused.layer, 0, 2), Rows(fused.layer, 1, 2)
    key, value = parts.matrix(names.key), parts.matrix(names.value)
    if query and key and value:
        return Rows(query.layer), Rows(key.layer), Rows(value.layer)
    return None


def _pairing(parts: Parts) -> Rotary:
    """Return how rotary embeddings pair dimensions: `transformers` has one way, timm states it."""
    return "halves" if getattr(parts.module, "rotate_half", True) else "neighbours"


def read_mlp(parts: Parts, block: int | None, names: MlpNames) -> Mlp | None:
    """Return the record of an MLP; None if the module is not an MLP."""
    up, down, gate = (parts.matrix(name) for name in (names.up, names.down, names.gate))
    if up is None or down is None or up.inputs != down.outputs:
        return None
    if up.layer.rpartition(".")[2].isdigit() and parts.count != 2:  # as in any nn.Sequential
        return None
    if up.is_convolution and up.outputs < up.inputs:  # squeeze-and-excitation, which scales
        return None
    fused = gate is None and up.outputs == 2 * down.inputs
    if not fused and {up.outputs, gate.outputs if gate else up.outputs} != {down.inputs}:
        return None
    rows = Rows(up.layer, 0, 2) if fused else Rows(up.layer)
    gate_rows = Rows(up.layer, 1, 2) if fused else Rows(gate.layer) if gate else None
    depthwise = parts.matrix(names.depthwise)
    return Mlp(
        parts.name,
        block,
        rows,
        gate_rows,
        down.layer,
        parts.attribute(names.inner_norm) is not None,
        depthwise.layer if depthwise else None,
        increment_of_neurons(parts.config, down.inputs),
    )
