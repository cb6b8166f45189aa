"""Candidates: the increments that an allocation chooses among, with their scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.criteria.criterion import Criterion, Scoring
from vitprune.pruning.granularity.tied import TiedGroupings
from vitprune.pruning.masks import Masks
from vitprune.pruning.masks.selection import rank_in_row
from vitprune.pruning.scores import score_groups

TRILLION = 10**12


@dataclass(frozen=True)
class Candidate:
    """Groupings that are pruned in equal shares, as an allocation sees them.

    Attributes:
        tied: The groupings and the sizes of their increments.
        group_scores: Score of each group of each grouping, (G,); -inf where it was pruned in an
            earlier round and stays pruned, inf where a pattern keeps it.
        scores: Score of each increment, (increments,): the sum over its groups where scores are
            sums over weights, else their mean.
        summed: Whether scores are sums over weights, and so grow with the size of a group.
        rows: Number of outputs within which the groups are compared; None within the layer.
        pruned: Increments that were pruned in earlier rounds and stay pruned.
        partly_pruned: Whether further pruned weights stay pruned inside groups that are not
            pruned.
        masks: The masks of the layers.
        increment_size: What an increment takes of the budget: its weights, unless the budget counts
            something else.

    """

    tied: TiedGroupings
    group_scores: tuple[Tensor, ...]
    scores: Tensor
    summed: bool
    rows: int | None
    pruned: int
    partly_pruned: bool
    masks: Masks
    increment_size: int

    @property
    def layers(self) -> list[Layer]:
        """The layers of all groupings."""
        return self.tied.layers

    @property
    def increments(self) -> int:
        """Number of increments that make up all groups."""
        return self.tied.increments

    @property
    def size(self) -> int:
        """What all increments take of the budget."""
        return self.increments * self.increment_size


def candidate_of(
    tied: TiedGroupings,
    masks: Masks,
    criterion: Criterion,
    scorings: Mapping[str, Scoring],
    costs: Costs | None = None,
) -> Candidate:
    """Score the groups of tied groupings and collect them in increments.

    Args:
        tied: Groupings of some layers.
        masks: Masks that include those of these layers.
        criterion: Scores their weights.
        scorings: What the criterion knows about each layer, by name.
        costs: What the model costs; None if a group costs as much as it has weights.

    Raises:
        UsageError: If a score is NaN.

    """
    kept = [grouping.kept(masks) for grouping in tied.groupings]
    stays_pruned = not criterion.straight_through
    group_scores = []
    for grouping, alive in zip(tied.groupings, kept, strict=True):
        scores = score_groups(grouping, criterion, scorings)
        if stays_pruned:
            scores[~alive] = -torch.inf
        if grouping.pattern:
            keep_pattern(scores, grouping.pattern)
        group_scores.append(scores)
    summed = criterion.reduction in ("sum", "square")
    pruned = _pruned_increments(tied, kept) if stays_pruned else 0
    return Candidate(
        tied=tied,
        group_scores=tuple(group_scores),
        scores=_increment_scores(tied, group_scores, summed=summed),
        summed=summed,
        rows=tied.groupings[0].rows if criterion.per_output else None,
        pruned=pruned,
        partly_pruned=stays_pruned and _is_partly_pruned(tied, masks, pruned),
        masks=masks,
        increment_size=tied.increment_size if costs is None else _saved(tied, costs),
    )


def _saved(tied: TiedGroupings, costs: Costs) -> int:
    """Return what an increment saves on average, as a whole number of trillionths of the budget."""
    dimensions = {grouping.dimension for grouping in tied.groupings}
    saved = sum(costs.saved_by(dimension) for dimension in dimensions if dimension)
    return max(1, round(TRILLION * saved / costs.dense / tied.increments))


def keep_pattern(scores: Tensor, pattern: tuple[int, int]) -> None:
    """Set the n highest of every m consecutive scores, (G,), to inf, in place.

    Examples:
        >>> scores = torch.tensor([3.0, 1.0, 2.0, 4.0])
        >>> keep_pattern(scores, (2, 4))
        >>> scores
        tensor([inf, 1., 2., inf])

    """
    kept, of = pattern
    ranks = rank_in_row(scores.view(-1, of)).view(-1)
    scores[ranks >= of - kept] = torch.inf


def _increment_scores(
    tied: TiedGroupings, group_scores: Sequence[Tensor], *, summed: bool
) -> Tensor:
    if tied.groups_per_increment == 1:
        return group_scores[0]
    first, *others = [
        grouping.by_increment(scores.view(grouping.pools, -1).sort(dim=1).values, tied.increments)
        for grouping, scores in zip(tied.groupings, group_scores, strict=True)
    ]
    total = sum(others, first)
    return total if summed else total / tied.groups_per_increment


def _pruned_increments(tied: TiedGroupings, kept: Sequence[Tensor]) -> int:
    """Return how many increments are pruned in all pools of all groupings."""
    return min(
        int((~alive).view(grouping.pools, -1).sum(1).min()) // tied.pool_groups(grouping)
        for grouping, alive in zip(tied.groupings, kept, strict=True)
    )


def _is_partly_pruned(tied: TiedGroupings, masks: Masks, pruned: int) -> bool:
    """Return whether weights are pruned beyond those of `pruned` increments."""
    if tied.increment_size == 1:
        return False
    remaining = sum(int(grouping.remaining(masks).sum()) for grouping in tied.groupings)
    return tied.weights - remaining > pruned * tied.increment_size
