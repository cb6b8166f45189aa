"""One ranking over all layers, of scores relative to those of the same kind of structure."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vitprune.pruning.allocation.global_ranking import Global
from vitprune.pruning.candidates import Candidate


class Isomorphic(Global):
    """One ranking over all layers, of scores divided by their mean over one kind of structure.

    Scores of heads, neurons and channels have different scales, so that ranked together one kind
    would be pruned first. The mean is over all layers and over the groups that are not pruned.

    Source: Fang et al. 2024, who rank each kind by itself.

    Args:
        min_density: See `Allocation`.

    """

    def __init__(self, min_density: float = 0.0) -> None:
        super().__init__(min_density)

    def ranked_scores(self, candidates: Sequence[Candidate]) -> list[Tensor]:
        """See the class."""
        scores = super().ranked_scores(candidates)
        kinds = [_kind(candidate) for candidate in candidates]
        means = {
            kind: _mean(
                [score for score, other in zip(scores, kinds, strict=True) if other == kind]
            )
            for kind in set(kinds)
        }
        return [score / means[kind] for score, kind in zip(scores, kinds, strict=True)]


def _kind(candidate: Candidate) -> tuple[str, ...]:
    """Return what the groups of a candidate consist of."""
    grouping = candidate.tied.groupings[0]
    kind = (grouping.dimension.kind,) if grouping.dimension else ()
    return (*kind, *(layer.role for layer in grouping.layers))


def _mean(scores: Sequence[Tensor]) -> Tensor:
    together = torch.cat(list(scores))
    alive = together[together.isfinite()].abs()
    mean = alive.mean() if len(alive) else together.new_ones(())
    return mean.clamp(min=torch.finfo(together.dtype).tiny)
