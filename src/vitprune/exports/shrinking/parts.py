"""The attentions and MLPs of a model, and the part of each that reaches the logits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from vitprune.exports.shrinking.survivors import (
    BranchWeights,
    Survivors,
    Width,
    find_survivors,
    fold_constants,
    read_weights,
    width_of,
)
from vitprune.exports.shrinking.trial import Range, Trial
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Attention, Branch, output_of


@dataclass(frozen=True)
class Part:
    """A branch, and the part of it that reaches the logits.

    Attributes:
        branch: The branch.
        layers: Layers of its model, in float64, by name.
        seen: Range of the inputs of its output layer; None if constants are not to be folded.
        width: Its current width.
        survivors: What reaches the logits.
        outputs: What its module returns (see `Trial.outputs`); None if the module cannot be
            replaced by a constant.

    """

    branch: Branch
    layers: Mapping[str, Layer] = field(repr=False)
    seen: Range | None = field(repr=False)
    width: Width
    survivors: Survivors
    outputs: int | None

    @property
    def weights(self) -> BranchWeights:
        """A new copy of its weights in float64, with folded constants."""
        return _weights(self.branch, self.layers, self.seen)

    @property
    def output(self) -> str:
        """Role of the layer that writes to the residual stream."""
        return "attn_out" if isinstance(self.branch, Attention) else "mlp_out"

    @property
    def is_narrower(self) -> bool:
        """Whether less than its current width reaches the logits."""
        return self.survivors.width != self.width

    @property
    def whole_heads(self) -> "Part":
        """The same branch, with all dimensions of each head that survives."""
        kept = find_survivors(self.branch, self.weights, self.width, whole_heads=True)
        return replace(self, survivors=kept, outputs=None)

    def first_groups(self, count: int) -> "Part":
        """Return the same branch, of which at most this number of heads or neurons survives."""
        old = self.survivors
        kept = Survivors(old.groups[:count], old.values[:count], old.scores[:count])
        return replace(self, survivors=kept)


def examine(
    branch: Branch, layers: Mapping[str, Layer], trial: Trial, branches: Iterable[Branch]
) -> Part:
    """Find the part of a branch that reaches the logits.

    Args:
        branch: The branch.
        layers: Layers of the model in float64, by name.
        trial: A forward pass of the model.
        branches: All branches of the model.

    """
    seen = trial.ranges.get(output_of(branch))
    width = width_of(branch, layers)
    survivors = find_survivors(branch, _weights(branch, layers, seen), width)
    inside = [
        name
        for other in branches
        if other is not branch
        for name in other.roles
        if name.startswith(f"{branch.name}.")
    ]
    outputs = None if inside else trial.outputs.get(branch.name)
    return Part(branch, layers, seen, width, survivors, outputs)


def _weights(branch: Branch, layers: Mapping[str, Layer], seen: Range | None) -> BranchWeights:
    weights = read_weights(branch, layers)
    fold_constants(branch, weights, seen)
    return weights


def kind_of(branch: Branch, net: nn.Module) -> str:
    """Return the class of a branch's module, and whether it is the attention or the MLP in it."""
    role = "attention" if isinstance(branch, Attention) else "MLP"
    return f"{role} of {type(net.get_submodule(branch.name)).__name__}"


def why_fixed(branch: Branch, layers: Mapping[str, Layer], net: nn.Module) -> str | None:
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
