"""One ranking over all layers."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.demand import Demand
from vitprune.pruning.allocation.ranking import rank_increments
from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.candidates import Candidate


class Global(Allocation):
    """One ranking over all layers: the lowest scores are pruned, wherever they are.

    s_l is the share of the layer's scores below one threshold for all layers. Groups of unequal
    size are ranked by score per weight (or per FLOP or parameter, if that is the budget) if the
    score is a sum.

    Source: Frankle and Carbin 2019; Lee et al. 2019; `global_unstructured` of
    `torch.nn.utils.prune`.

    Args:
        min_density: See `Allocation`.
        normalize: Whether to divide the scores of each layer by their mean, as magnitudes differ
            between layers.

    """

    def __init__(self, min_density: float = 0.0, *, normalize: bool = False) -> None:
        super().__init__(min_density)
        self.normalize = normalize

    @property
    def ranks_together(self) -> bool:
        """See the base class."""
        return not self.normalize and self.min_density == 0

    def comparable(self, candidate: Candidate) -> Tensor:
        """Return the scores of a candidate, (increments,), made comparable across layers."""
        scores = candidate.scores
        if candidate.summed and candidate.increment_size > 1:
            scores = scores / candidate.increment_size
        if not self.normalize:
            return scores
        mean = torch.where(scores.isfinite(), scores, 0).abs().mean()
        return scores / mean.clamp(min=torch.finfo(scores.dtype).tiny)

    def ranked_scores(self, candidates: Sequence[Candidate]) -> list[Tensor]:
        """Return the scores of all candidates, each (increments,), as they are ranked."""
        return [self.comparable(candidate) for candidate in candidates]

    def allocate(
        self, target: float, candidates: Sequence[Candidate], costs: Costs | None = None
    ) -> list[int]:
        """See the base class."""
        scores = self.ranked_scores(candidates)  # once, as a budget needs many divisions
        ranked = [
            replace(candidate, scores=score)
            for candidate, score in zip(candidates, scores, strict=True)
        ]
        return super().allocate(target, ranked, costs)

    def divide(self, candidates: Sequence[Candidate], demand: Demand) -> list[int]:
        """See the base class; the candidates have the scores by which they are ranked."""
        scores = [candidate.scores for candidate in candidates]
        sizes = [candidate.increment_size for candidate in candidates]
        counts: dict[int, int] = {}
        free = list(range(len(candidates)))
        while True:  # a candidate above its bound is fixed there, and the others are ranked again
            left = max(0, demand.size - sum(counts[i] * sizes[i] for i in counts))
            ranked = rank_increments([scores[i] for i in free], [sizes[i] for i in free], left)
            above = [i for i, count in zip(free, ranked, strict=True) if count > demand.upper[i]]
            if not above:
                counts |= dict(zip(free, ranked, strict=True))
                return [max(counts[i], low) for i, low in enumerate(demand.lower)]
            counts |= {i: demand.upper[i] for i in above}
            free = [i for i in free if i not in above]
