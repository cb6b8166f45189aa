"""What can be removed from a model: found in its zeros, and tried on a copy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.shrinking.cut import cut
from vitprune.exports.shrinking.parts import Part, examine, kind_of, output_of, why_fixed
from vitprune.exports.shrinking.stream import is_plain
from vitprune.exports.shrinking.survivors import is_whole
from vitprune.exports.shrinking.trial import Trial, copy_modules, in_float64
from vitprune.model.anatomy.config import image_shape
from vitprune.model.anatomy.layers import Layer, find_structure
from vitprune.model.anatomy.records import Attention, Branch
from vitprune.model.unused import find_unused

TOLERANCE = 1e-10  # of logits in float64
SEED = 0


@dataclass(frozen=True)
class Analysis:
    """What can be removed from a model.

    Attributes:
        net: The model, in float64 if something can be removed.
        trial: A forward pass of it; None if nothing can be removed.
        parts: Branches that can have another width; empty if nothing can be removed.
        left: Why the other branches keep their width, by kind (see `kind_of`).

    """

    net: PreTrainedModel
    trial: Trial | None
    parts: list[Part]
    left: dict[str, str]

    def is_same(self, net: PreTrainedModel) -> bool:
        """Return whether another model has the same logits in the trial."""
        assert self.trial is not None
        return self.trial.difference(net) <= TOLERANCE  # not NaN


def analyse(net: PreTrainedModel, images: Tensor | None = None) -> Analysis:
    """Find out what can be removed from a model.

    Cost: a copy in float64 if the model has another type, and a few forward passes. Next to none
    for a model without rows or columns of zeros.

    Args:
        net: Model, in evaluation mode; it is not changed.
        images: Images of the trial, (B, channels, height, width); by default one random image.

    Raises:
        UsageError: If no attention or MLP of the model is known, or the model does not accept the
            images.

    """
    structure = find_structure(net)
    if not structure.branches:
        raise UsageError(
            f"models of type {net.config.model_type!r} cannot be shrunk: none of their modules is "
            "known as an attention or MLP. Declare them by vitprune.pruning.declare."
        )
    layers = {layer.name: layer for layer in structure.layers}
    left: dict[str, str] = {}
    usable: list[Branch] = []
    for branch in structure.branches:
        if why_not := why_fixed(branch, layers, net):
            left[kind_of(branch, net)] = why_not
        else:
            usable.append(branch)
    if all(is_whole(branch, layers) for branch in usable) and is_plain(net):
        return Analysis(net, None, [], left)
    exact = in_float64(net)
    layers = {layer.name: layer for layer in find_structure(exact).layers}
    trial = _run(exact, usable, layers, images)
    parts = [examine(branch, layers, trial, structure.branches) for branch in usable]
    found, refused = _try(exact, trial, _narrow_unused(exact, parts, layers))
    return Analysis(exact, trial, found, left | refused)


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
    return [part.first_groups(widest) if part.branch.name in idle else part for part in parts]


def _try(
    net: PreTrainedModel, trial: Trial, parts: Sequence[Part]
) -> tuple[list[Part], dict[str, str]]:
    """Return the branches that can be as narrow as their survivors, and why others cannot be."""
    if _why_not(net, trial, parts) is None:
        return list(parts), {}
    kinds: dict[str, list[Part]] = {}
    for part in parts:
        kinds.setdefault(kind_of(part.branch, net), []).append(part)
    found: list[Part] = []
    left: dict[str, str] = {}
    for kind, members in kinds.items():
        smaller, why_not = _try_kind(net, trial, members)
        if why_not:
            left[kind] = why_not
        found += smaller
    return found, left


def _try_kind(
    net: PreTrainedModel, trial: Trial, parts: list[Part]
) -> tuple[list[Part], str | None]:
    """Return the branches of one kind that can be as narrow as their survivors, or why not."""
    why_not = _why_not(net, trial, parts)
    if why_not is None:
        return parts, None
    whole = [part.whole_heads for part in parts]
    why_neither = _why_not(net, trial, whole)
    if why_neither is not None:
        return [], why_neither
    wanted = [part.survivors.width for part in parts]
    is_less = [part.survivors.width for part in whole] != wanted
    return whole, f"only whole heads can be removed: {why_not}" if is_less else None


def _why_not(net: PreTrainedModel, trial: Trial, parts: Iterable[Part]) -> str | None:
    """Return why branches cannot be as narrow as their survivors; None if they can be."""
    narrower = [part for part in parts if part.is_narrower]
    if not narrower:
        return None
    changed = copy_modules(net)
    try:
        cut(changed, narrower)
        difference = trial.difference(changed)
    except Exception:  # of any model
        return "the code of its forward fixes its width"
    return None if difference <= TOLERANCE else f"the logits would change by {difference:.1g}"


def describe_error(error: Exception) -> str:
    """Return the first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
