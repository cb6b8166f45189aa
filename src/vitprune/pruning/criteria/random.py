"""Random scores."""

import torch
from torch import Tensor

from vitprune.pruning.criteria.criterion import Criterion, Scoring
from vitprune.seeding import seed_for


class Random(Criterion):
    """A uniform random number: the control for every other criterion.

    The numbers depend on (seed, round, layer) alone, so they are the same on every rank, on every
    device and after a resume.

    Source: `random_unstructured` and `random_structured` of `torch.nn.utils.prune`.

    Cost: one random number for each weight.
    """

    is_random = True
    reduction = "first"  # one draw a group, as a sum of many would depend on the size of the group

    def score(self, weight: Tensor, scoring: Scoring) -> Tensor:
        """Return numbers from [0, 1)."""
        seed = seed_for(scoring.seed, "score", scoring.round, scoring.layer)
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(weight.shape, generator=generator).to(weight.device)
