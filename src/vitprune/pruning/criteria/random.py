"""Random scores."""

import torch
from torch import Tensor

from vitprune.pruning.criteria.criterion import Criterion, Scoring
from vitprune.seeding import seed_for


class Random(Criterion):
    """A uniform random number, the control that every other criterion has to beat.

    Source: `random_unstructured` and `random_structured` of `torch.nn.utils.prune`. The numbers
    depend on (seed, round, layer) alone, so they are the same on every rank, on every device and
    after a resume.
    """

    is_random = True
    reduction = "first"  # one draw a group: a sum of many would say more about the size of the group than about luck

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return numbers from [0, 1)."""
        generator = torch.Generator().manual_seed(
            seed_for(scoring.seed, "score", scoring.round, scoring.layer)
        )
        return torch.rand(weight.shape, generator=generator).to(weight.device)
