"""Random scores."""

import torch

from vitprune.pruning import (
    Random,
)
from vitprune.pruning.criteria.criterion import Scoring


def test_random_scores_differ_by_layer_round_and_seed():
    weight = torch.zeros(4, 4)
    scores = [
        Random().score(weight, Scoring(*k))
        for k in (("a", 1, 42), ("b", 1, 42), ("a", 2, 42), ("a", 1, 43))
    ]
    assert len({tuple(s.flatten().tolist()) for s in scores}) == 4
