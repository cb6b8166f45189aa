"""Units: weights seen as groups that are kept or dropped whole, within one layer or across several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import masks


@dataclass(frozen=True)
class Part:
    """A weight as the groups of a unit see it.

    Attributes:
        layer: Its layer.
        view: Returns a view (the same memory) of a tensor of the weight's shape; the leading
            dimensions count the groups, the others their members.

    """

    layer: Layer
    view: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Unit:
    """Groups that one or several weights have in common: one score, one decision and one fate for
    each.

    Attributes:
        parts: The weights.
        group_dims: Number of leading dimensions of every view that count the groups.
        pools: The groups, in their order, come in this many equal pools, which all lose the same
            number.
        round_to: A pool keeps a multiple of this number, or everything.
        survivors: Fewest groups that a pool keeps.
        tie: Units of the same tie lose the same number from each of their pools; None ties to
            nothing.
        pattern: (n, m): of every m consecutive groups n stay.
        rows: Number of outputs of the weight, where groups are single weights; a criterion may
            compare within an output.
        biases: Layers whose bias falls with the (only) group.

    """

    parts: tuple[Part, ...]
    group_dims: int = 1
    pools: int = 1
    round_to: int = 1
    survivors: int = 0
    tie: str | None = None
    pattern: tuple[int, int] | None = None
    rows: int | None = None
    biases: tuple[Layer, ...] = ()

    @property
    def layers(self) -> list[Layer]:
        """The layers that it is made of."""
        return [part.layer for part in self.parts]

    @property
    def groups(self) -> int:
        """G, the number of groups."""
        part = self.parts[0]
        return (
            part.view(torch.empty(part.layer.shape, device="meta")).shape[: self.group_dims].numel()
        )

    @property
    def group_size(self) -> int:
        """Weights in one group."""
        return sum(layer.shape.numel() for layer in self.layers) // self.groups

    @property
    def droppable(self) -> int:
        """Most groups of one pool that may ever fall."""
        per_pool = self.groups // self.pools
        if self.pattern:
            kept, of = self.pattern
            return per_pool // of * (of - kept)
        return per_pool - max(self.survivors, self.round_to if self.survivors else 0)

    def reduce(self, tensors: Sequence[Tensor], reduction: str) -> Tensor:
        """Reduce one tensor for each part, each of its weight's shape, to one value for each group,
        (G,).

        Args:
            tensors: Scores, or masks.
            reduction: See `Criterion.reduction`.

        """
        views = [
            part.view(tensor.contiguous()) for part, tensor in zip(self.parts, tensors, strict=True)
        ]
        if reduction == "first":
            first = views[0]
            while first.ndim > self.group_dims:
                first = first.select(-1, 0)
            return first.reshape(-1)
        reduced = [self._over_members(view, reduction).reshape(-1) for view in views]
        if len(reduced) == 1:
            total = reduced[0]
        else:
            stacked = torch.stack(reduced)
            total = stacked.amax(0) if reduction == "max" else stacked.sum(0)
        return total.square() if reduction == "square" else total

    def _over_members(self, view: Tensor, reduction: str) -> Tensor:
        members = tuple(range(self.group_dims, view.ndim))
        if not members:
            return view
        return view.amax(members) if reduction == "max" else view.sum(members)

    def kept(self) -> Tensor:
        """Return whether any member of each group is kept now, (G,)."""
        return self.reduce([masks.read(layer) for layer in self.layers], "max")

    def write(self, decision: Tensor, into: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Write a decision for each group, (G,), to all of its members, in place.

        Args:
            decision: Whether they are kept.
            into: How it changes their masks: `Tensor.logical_and_` only lets members fall, as masks
                of another granularity may have let some fall before; `Tensor.logical_or_` only lets
                them return; `Tensor.copy_` does both.

        """
        for part in self.parts:
            mask = masks.read(part.layer)
            kept = torch.empty(
                mask.shape, dtype=mask.dtype, device=mask.device
            )  # channels-last masks have no such views
            view = part.view(kept)
            shape = (*view.shape[: self.group_dims], *[1] * (view.ndim - self.group_dims))
            view.copy_(decision.reshape(shape).expand_as(view))
            into(mask, kept)
        for layer in self.biases:
            into(masks.read(layer, "bias"), decision)
