"""One ranking over all layers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.apportion import rank
from vitprune.pruning.allocation.candidates import Candidate


class Global(Allocation):
    """One ranking over all layers: the lowest scores fall wherever they are, as in
    `global_unstructured`.

    s_l is the share of the layer's scores that lie below one threshold for all (Frankle and Carbin
    2019; Lee et al. 2019). Groups of unequal size are ranked by score per weight where the score is
    a sum. Holds the scores of all layers at once: as much memory as the weights, on every rank.

    Args:
        min_density: See `Allocation`.
        normalize: Divide the scores of each layer by their mean first, since magnitudes differ from
            layer to layer by far.

    """

    def __init__(self, min_density: float = 0.0, normalize: bool = False) -> None:
        super().__init__(min_density)
        self.normalize = normalize

    @property
    def ranks_together(self) -> bool:
        """See the base class."""
        return not self.normalize and self.min_density == 0

    def comparable(self, candidate: Candidate) -> Tensor:
        """Return the scores of a candidate, (G,), such that they can be ranked against those of other layers."""
        scores = candidate.scores
        if candidate.summed and candidate.group_size > 1:
            scores = scores / candidate.group_size
        if not self.normalize:
            return scores
        mean = torch.where(scores.isfinite(), scores, 0).abs().mean()
        return scores / mean.clamp(min=torch.finfo(scores.dtype).tiny)

    def divide(
        self,
        target: int,
        candidates: Sequence[Candidate],
        lower: Sequence[int],
        upper: Sequence[int],
    ) -> list[int]:
        """See the base class."""
        scores = [self.comparable(candidate) for candidate in candidates]
        sizes = [candidate.group_size for candidate in candidates]
        counts: dict[int, int] = {}
        free = list(range(len(candidates)))
        while True:  # a layer over its bound is fixed there, and the others are ranked again
            left = max(0, target - sum(counts[i] * sizes[i] for i in counts))
            ranked = dict(
                zip(
                    free,
                    rank([scores[i] for i in free], [sizes[i] for i in free], left),
                    strict=True,
                )
            )
            over = [i for i in free if ranked[i] > upper[i]]
            if not over:
                counts |= ranked
                return [max(counts[i], lower[i]) for i in range(len(candidates))]
            counts |= {i: upper[i] for i in over}
            free = [i for i in free if i not in over]
