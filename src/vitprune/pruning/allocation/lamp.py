"""One ranking over all layers, by layer-adaptive scores."""

import torch
from torch import Tensor

from vitprune.pruning.allocation.global_ranking import Global
from vitprune.pruning.candidates import Candidate


class LAMP(Global):
    """One ranking over all layers, of layer-adaptive scores.

    LAMP(u) = s_u^2 / sum of s_v^2 over the v of the same layer with s_v >= s_u, with s = |w| for
    `Magnitude()`. The highest score of every layer becomes 1, so no layer is pruned whole.

    Source: Lee et al. 2021.

    Cost: a sort of every layer.

    Args:
        min_density: See `Allocation`.

    """

    squares_scores = True

    def __init__(self, min_density: float = 0.0) -> None:
        super().__init__(min_density)

    @property
    def ranks_together(self) -> bool:
        """No: the highest score of every layer becomes 1."""
        return False

    def comparable(self, candidate: Candidate) -> Tensor:
        """See the class."""
        ordered, places = candidate.scores.double().sort(stable=True)
        squares = torch.where(ordered.isfinite(), ordered.clamp(min=0).square(), 0)
        not_below = squares.flip(0).cumsum(0).flip(0)
        ratios = squares / not_below.clamp(min=torch.finfo(torch.float64).tiny)
        ratios = torch.where(ordered.isfinite(), ratios, ordered)
        return torch.empty_like(ratios).scatter_(0, places, ratios)
