"""What can be removed from a model: found in its zeros, and tried on a copy."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.surgery import Constant, narrow, write
from vitprune.exports.survivors import (
    BranchWeights,
    Survivors,
    Width,
    find_survivors,
    fold_constants,
    read_weights,
    width_of,
)
from vitprune.exports.trial import Trial, copy_in_float64
from vitprune.model.anatomy.config import image_shape
from vitprune.model.anatomy.layers import Layer, find_structure
from vitprune.model.anatomy.records import Attention, Branch
from vitprune.model.unused import find_unused

TOLERANCE = 1e-10  # of logits in float64
SEED = 0


@dataclass(frozen=True)
class Part:
    """A branch, and the part of it that reaches the logits.

    Attributes:
        branch: The branch.
        weights: Its weights in float64, with folded constants.
        width: Its current width.
        survivors: What reaches the logits.
        outputs: What its module returns (see `Trial.outputs`); None if the module cannot be
            replaced by a constant.

    """

    branch: Branch
    weights: BranchWeights
    width: Width
    survivors: Survivors
    outputs: int | None

    @property
    def output(self) -> str:
        """Role of the layer that writes to the residual stream."""
        return "attn_out" if isinstance(self.branch, Attention) else "mlp_out"

    @property
    def whole_heads(self) -> "Part":
        """The same branch, with all dimensions of each head that survives."""
        kept = find_survivors(self.branch, self.weights, self.width, whole_heads=True)
        return replace(self, survivors=kept, outputs=None)


@dataclass(frozen=True)
class Analysis:
    """What can be removed from a model.

    Attributes:
        net: The model in float64.
        trial: A forward pass of it.
        parts: Branches that can have another width.
        left: Why the other branches keep their width, by kind (see `kind_of`).

    """

    net: PreTrainedModel
    trial: Trial
    parts: list[Part]
    left: dict[str, str]


def analyse(net: PreTrainedModel, images: Tensor | None = None) -> Analysis:
    """Find out what can be removed from a model.

    Args:
        net: Model, in evaluation mode; it is not changed.
        images: Images of the trial, (B, channels, height, width); by default one random image.

    Raises:
        UsageError: If no attention or MLP of the model is known, or the model does not accept the
            images.

    """
    exact = copy_in_float64(net)
    structure = find_structure(exact)
    if not structure.branches:
        raise UsageError(
            f"models of type {net.config.model_type!r} cannot be shrunk: none of their modules is "
            "known as an attention or MLP. Declare them by vitprune.pruning.declare."
        )
    layers = {layer.name: layer for layer in structure.layers}
    left: dict[str, str] = {}
    usable: list[Branch] = []
    for branch in structure.branches:
        if why_not := _obstacle(branch, layers, exact):
            left[kind_of(branch, exact)] = why_not
        else:
            usable.append(branch)
    trial = _run(exact, usable, layers, images)
    parts = [_examine(branch, layers, trial, structure.branches) for branch in usable]
    parts = _narrow_unused(exact, parts, layers)
    kinds: dict[str, list[Part]] = {}
    for part in parts:
        kinds.setdefault(kind_of(part.branch, exact), []).append(part)
    found: list[Part] = []
    for kind, members in kinds.items():
        smaller, why_not = _try(exact, trial, members)
        if why_not:
            left[kind] = why_not
        found += smaller
    return Analysis(exact, trial, found, left)


def kind_of(branch: Branch, net: nn.Module) -> str:
    """Return the class of a branch's module, and whether it is the attention or the MLP in it."""
    role = "attention" if isinstance(branch, Attention) else "MLP"
    return f"{role} of {type(net.get_submodule(branch.name)).__name__}"


def _obstacle(branch: Branch, layers: Mapping[str, Layer], net: nn.Module) -> str | None:
    """Return why a branch cannot have another width; None if it may."""
    groups = "heads" if isinstance(branch, Attention) else "neurons"
    if branch.inner_norm:
        return f"a norm over all {groups} depends on the pruned ones as well"
    if isinstance(net.get_submodule(branch.name), nn.MultiheadAttention):
        return "the heads of nn.MultiheadAttention are in all as wide as the residual stream"
    if shared := [name for name in branch.roles if name not in layers]:
        return f"{shared[0]} shares its weight with another layer"
    for name in branch.roles:
        layer = layers[name]
        if layer.is_transposed or layer.convolution_groups > 1 or set(layer.shape[2:]) - {1}:
            return f"{name} is a convolution larger than 1x1, grouped or transposed"
    return None


def _run(
    net: PreTrainedModel,
    branches: Sequence[Branch],
    layers: Mapping[str, Layer],
    images: Tensor | None,
) -> Trial:
    if images is None:
        generator = torch.Generator().manual_seed(SEED)
        images = torch.randn(1, *image_shape(net.config), generator=generator)
    outputs = {name: layers[name].module for name in map(output_of, branches)}
    modules = {branch.name: net.get_submodule(branch.name) for branch in branches}
    try:
        return Trial.run(net, images, outputs, modules)
    except Exception as error:
        raise UsageError(
            f"the model cannot be shrunk: it does not accept images of shape "
            f"{tuple(images.shape)} ({describe_error(error)})."
        ) from error


def output_of(branch: Branch) -> str:
    """Return the name of the layer that writes to the residual stream."""
    return branch.output if isinstance(branch, Attention) else branch.down


def _examine(
    branch: Branch, layers: Mapping[str, Layer], trial: Trial, branches: Iterable[Branch]
) -> Part:
    weights = read_weights(branch, layers)
    fold_constants(branch, weights, trial.ranges.get(output_of(branch)))
    width = width_of(branch, layers)
    inside = [
        name
        for other in branches
        if other is not branch
        for name in other.roles
        if name.startswith(f"{branch.name}.")
    ]
    returned = None if inside else trial.outputs.get(branch.name)
    return Part(branch, weights, width, find_survivors(branch, weights, width), returned)


def _narrow_unused(
    net: PreTrainedModel, parts: list[Part], layers: Mapping[str, Layer]
) -> list[Part]:
    """Make MLPs on which no logit depends as wide as the widest other MLP.

    SigLIP has one setting for the widths of all MLPs, including that of the pooling head, which
    image classifiers do not use.
    """
    mlps = [part for part in parts if not isinstance(part.branch, Attention)]
    if all(part.branch.block is not None for part in mlps):
        return parts
    unused = find_unused(net)
    idle = {part.branch.name for part in mlps if layers[output_of(part.branch)].weight in unused}
    used = [part.survivors.width.groups for part in mlps if part.branch.name not in idle]
    widest = max([1, *used])
    return [_first_groups(part, widest) if part.branch.name in idle else part for part in parts]


def _first_groups(part: Part, count: int) -> Part:
    old = part.survivors
    kept = Survivors(old.groups[:count], old.values[:count], old.scores[:count])
    return replace(part, survivors=kept)


def _try(net: PreTrainedModel, trial: Trial, parts: list[Part]) -> tuple[list[Part], str | None]:
    """Return the branches of one kind that can be as narrow as their survivors, or why not."""
    if all(part.survivors.width == part.width for part in parts):
        return parts, None
    why_not = None
    for attempt in (parts, [part.whole_heads for part in parts]):
        changed = copy.deepcopy(net)
        try:
            cut(changed, attempt)
            difference = trial.difference(changed)
        except Exception:  # of any model
            why_not = "the code of its forward fixes its width"
            continue
        if difference <= TOLERANCE:
            return attempt, why_not and f"only whole heads can be removed: {why_not}"
        why_not = f"the logits would change by {difference:.1g}"
    return [], why_not


@torch.no_grad()
def cut(
    net: PreTrainedModel, parts: Iterable[Part], widths: Mapping[str, Width] | None = None
) -> None:
    """Give branches of a model other widths, in place.

    Args:
        net: Copy of the model that was analysed.
        parts: The branches.
        widths: New width of each branch, by `output_of`; by default those of the survivors, and a
            branch of which nothing survives becomes a constant.

    """
    for part in parts:
        branch = part.branch
        new = part.survivors.width if widths is None else widths[output_of(branch)]
        if new == part.width:
            continue
        if not new.groups and part.outputs is not None:
            _replace_by_constant(net, part)
            continue
        if not new.groups:
            new = Width(1, part.width.size)
        weights = narrow(branch, part.weights, part.survivors, part.width, new)
        write(net, branch, weights, part.survivors.groups, part.width, new)


def _replace_by_constant(net: PreTrainedModel, part: Part) -> None:
    output = part.weights[part.output]
    bias = output.bias if output.bias.any() else None
    assert part.outputs is not None
    net.set_submodule(part.branch.name, Constant(bias, len(output.bias), part.outputs))


def describe_error(error: Exception) -> str:
    """Return the first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
