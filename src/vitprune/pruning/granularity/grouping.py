"""Groupings: how weights are divided into groups, within one layer or across several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.records import Dimension, Rows
from vitprune.model.anatomy.stream import Entries
from vitprune.pruning.masks import Masks

Change = Literal["prune", "regrow", "replace"]
CHANGES: dict[Change, Callable[[Tensor, Tensor], Tensor]] = {
    "prune": Tensor.logical_and_,
    "regrow": Tensor.logical_or_,
    "replace": Tensor.copy_,
}
Reduction = Literal["sum", "max", "first", "square"]


@dataclass(frozen=True)
class Part:
    """A weight, or a part of one, viewed as groups.

    Attributes:
        layer: Its layer.
        view: Returns a view (the same memory) of a tensor of the weight's shape, or of a slice of
            it; the leading dimensions count the groups, the others their members.
        rows: The outputs of the weight that the view covers, such as a third of a fused weight;
            None if it covers all.

    """

    layer: Layer
    view: Callable[[Tensor], Tensor]
    rows: Rows | None = None

    @classmethod
    def of_rows(cls, layer: Layer, rows: Rows, view: Callable[[Tensor], Tensor]) -> "Part":
        """Return the part for some outputs of a weight, which `view` views as groups."""
        return cls(layer, lambda tensor: view(rows.of(tensor)), rows)

    @property
    def shape(self) -> torch.Size:
        """Shape of the part of the weight that the view covers."""
        outputs, *others = self.layer.shape
        return torch.Size((outputs // self.rows.parts if self.rows else outputs, *others))


@dataclass(frozen=True)
class Grouping:
    """Groups of one weight, or groups that span several weights.

    All weights of a group share one score and are kept or pruned together.

    Attributes:
        parts: The weights; of a fused weight there may be several parts.
        group_dims: Number of leading dimensions of every view that count the groups.
        pools: Number of equal pools of consecutive groups; every pool is pruned by the same
            number of groups.
        round_to: A pool keeps a multiple of this number of groups, or all.
        survivors: Fewest groups that a pool keeps.
        tie: Groupings with the same tie are pruned by the same share of groups in each pool;
            None ties to nothing.
        pattern: (n, m): of every m consecutive groups n are kept.
        rows: Number of outputs of the weight, where groups are single weights; a criterion may
            compare them within an output.
        biases: Layers whose bias, if it has a mask, is pruned with the (only) group.
        companions: Entries of further parameters that are pruned with the groups, one after the
            other, and are neither scored nor counted.
        dimension: The dimension of the model that shrinks with the number of groups; None if
            nothing does.

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
    companions: tuple[Entries, ...] = ()
    dimension: Dimension | None = None

    @property
    def layers(self) -> list[Layer]:
        """The layers of the weights, each once."""
        return list({part.layer.name: part.layer for part in self.parts}.values())

    @cached_property
    def groups(self) -> int:
        """G, the number of groups."""
        part = self.parts[0]
        viewed = part.view(torch.empty(part.layer.shape, device="meta"))
        return viewed.shape[: self.group_dims].numel()

    @property
    def weights(self) -> int:
        """Number of weights in all groups."""
        return sum(part.shape.numel() for part in self.parts)

    @property
    def group_size(self) -> int:
        """Number of weights in one group."""
        return self.weights // self.groups

    @property
    def prunable(self) -> int:
        """Most groups of one pool that can be pruned."""
        per_pool = self.groups // self.pools
        if self.pattern:
            kept, of = self.pattern
            return per_pool // of * (of - kept)
        return per_pool - max(self.survivors, self.round_to if self.survivors else 0)

    def reduce(self, tensors: Sequence[Tensor], reduction: Reduction) -> Tensor:
        """Reduce one tensor for each layer to one value for each group, (G,).

        Args:
            tensors: Scores or masks, each of the shape of its weight.
            reduction: See `Criterion.reduction`.

        """
        by_layer = {
            layer.name: tensor.contiguous()
            for layer, tensor in zip(self.layers, tensors, strict=True)
        }
        views = [part.view(by_layer[part.layer.name]) for part in self.parts]
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

    def _over_members(self, view: Tensor, reduction: Reduction) -> Tensor:
        members = tuple(range(self.group_dims, view.ndim))
        if not members:
            return view
        return view.amax(members) if reduction == "max" else view.sum(members)

    def by_increment(self, values: Tensor, increments: int) -> Tensor:
        """Sum one value for each group over increments, (G,) -> (increments,).

        An increment takes an equal number of groups of every pool, in their order.
        """
        return values.view(self.pools, increments, -1).sum(dim=(0, 2))

    def kept(self, masks: Masks) -> Tensor:
        """Return whether each group has weights that are not pruned, (G,)."""
        return self.reduce([masks[layer.weight] for layer in self.layers], "max")

    def remaining(self, masks: Masks) -> Tensor:
        """Return the number of weights of each group that are not pruned, (G,)."""
        return self.reduce([masks[layer.weight] for layer in self.layers], "sum")

    def write(self, masks: Masks, keep: Tensor, change: Change) -> None:
        """Write a decision for each group to the masks of all of its members, in place.

        Args:
            masks: Masks of the layers, within `Masks.changing`.
            keep: Whether each group is kept, (G,).
            change: How it changes the masks. `prune` only prunes, as other groupings may have
                pruned members before; `regrow` only regrows; `replace` does both.

        """
        apply = CHANGES[change]
        for part in self.parts:
            mask = masks[part.layer.weight]
            changed = mask.contiguous()  # copies a channels-last mask, which cannot be viewed
            view = part.view(changed)
            shape = (*view.shape[: self.group_dims], *[1] * (view.ndim - self.group_dims))
            apply(view, keep.reshape(shape).expand_as(view))
            if changed is not mask:
                mask.copy_(changed)
        for layer in self.biases:
            if layer.bias is not None and layer.bias in masks:
                apply(masks[layer.bias], keep)
        for entries in self.companions:
            view = entries.by_channel(masks[entries.parameter])
            apply(view, keep.reshape(-1, *[1] * (view.ndim - 1)).expand_as(view))
