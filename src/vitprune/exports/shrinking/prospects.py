"""What a structured pruning run cannot remove from its model, reported before training."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.shrinking.analysis import analyse
from vitprune.exports.shrinking.parts import kind_of, output_of
from vitprune.exports.shrinking.plans import plain_widths
from vitprune.exports.shrinking.survivors import width_of
from vitprune.exports.shrinking.trial import copy_modules, in_float64
from vitprune.model.anatomy.layers import find_structure
from vitprune.model.anatomy.records import Attention, Branch
from vitprune.model.token_merging import merging_paused

LOADERS = "load_pruned, pt2 and ONNX"


@dataclass(frozen=True)
class Prospects:
    """What shrinking a pruned model will not remove.

    Attributes:
        stays: Which pruned structure stays in the tensors, and why; None if all is removed.
        padding: Which structure plain loading keeps; None if none.

    """

    stays: str | None = None
    padding: str | None = None

    @property
    def text(self) -> str | None:
        """All of it; None if there is nothing to say."""
        return " ".join(filter(None, (self.stays, self.padding))) or None


def find_prospects(
    net: PreTrainedModel,
    images: Tensor | None = None,
    *,
    heads: bool = True,
    neurons: bool = True,
) -> Prospects:
    """Return what shrinking will not remove.

    Found by removing half of the heads of each attention and half of the neurons of each MLP from
    a copy. Frozen branches are left as they are, such as a pooling head that no logit depends on.

    Args:
        net: Model in evaluation mode; it is not changed.
        images: Images of the trial, (B, channels, height, width); by default one random image.
        heads: Whether heads will be pruned.
        neurons: Whether neurons will be pruned.

    """
    pruned = copy_modules(in_float64(net))
    kinds = _halve(pruned, heads=heads, neurons=neurons)
    try:
        with merging_paused(pruned):  # an export has no merging, and the keys of heads are alive
            analysis = analyse(pruned, images)
    except UsageError as error:
        return Prospects(stays=str(error))
    left = {kind: why_not for kind, why_not in analysis.left.items() if kind in kinds}
    removed = [branch for kind, branch in kinds.items() if kind not in left]
    text = padding = None
    if left:
        stays = [
            f"{_module(kinds[kind], net)}: pruned {_groups(kinds[kind])} stay in the tensors as "
            f"zeros ({why_not})"
            for kind, why_not in left.items()
        ]
        text = "; ".join([*stays, f"{_removed(removed, kinds.values(), net)} removed."])
    plain = plain_widths(analysis)
    narrow = [part for part in analysis.parts if part.is_narrower]
    too_wide = {_groups(p.branch) for p in narrow if plain[output_of(p.branch)] == p.width}
    if too_wide:
        groups = " and ".join(sorted(too_wide))
        padding = (
            f"Only {LOADERS} remove the pruned {groups}; plain transformers keeps them as zeros."
        )
    return Prospects(text, padding)


def _halve(net: nn.Module, *, heads: bool, neurons: bool) -> dict[str, Branch]:
    """Prune half of the heads and neurons; return a branch of each kind.

    Weights are replaced, not changed in place.
    """
    structure = find_structure(net)
    layers = {layer.name: layer for layer in structure.layers}
    kinds: dict[str, Branch] = {}
    with torch.no_grad():
        for branch in structure.branches:
            output = layers.get(output_of(branch))
            is_pruned = heads if isinstance(branch, Attention) else neurons
            if output is None or not is_pruned or not output.weight.requires_grad:
                continue
            kinds.setdefault(kind_of(branch, net), branch)
            width = width_of(branch, layers)
            weight = output.weight.clone()
            weight[:, : width.groups // 2 * width.size] = 0
            setattr(output.module, output.attribute, nn.Parameter(weight))
    return kinds


def _groups(branch: Branch) -> str:
    return "heads" if isinstance(branch, Attention) else "neurons"


def _module(branch: Branch, net: nn.Module) -> str:
    return type(net.get_submodule(branch.name)).__name__


def _removed(removed: Iterable[Branch], branches: Iterable[Branch], net: nn.Module) -> str:
    """Return a subject and verb: heads and neurons that are removed, of some modules or of all."""
    found = []
    for groups in ("heads", "neurons"):
        modules = [_module(branch, net) for branch in removed if _groups(branch) == groups]
        every = [branch for branch in branches if _groups(branch) == groups]
        if modules:
            all_of_them = len(modules) == len(every)
            found.append(groups if all_of_them else f"{groups} of {', '.join(modules)}")
    return f"{' and '.join(found)} are" if found else "nothing is"
