"""Several granularities together."""

import pytest
import torch

from tests.conftest import tiny_net
from tests.pruning.layers import prune_net
from vitprune.pruning import Combined, Global, Head, HeadDim, Magnitude, Neuron, Random


@pytest.mark.parametrize("criterion", [Random(), Magnitude(p=torch.inf)], ids=["random", "largest"])
def test_a_ranking_of_scores_that_are_no_sums_favours_no_kind(criterion):
    """An increment is a dimension of every head, or one neuron: it must score the mean."""
    net = tiny_net(hidden_size=128, intermediate_size=256, num_attention_heads=4)
    keep = prune_net(net, Combined([HeadDim(), Neuron()]), 0.5, Global(), criterion)
    share = {
        role: float(torch.cat([mask for (_, r), mask in keep.items() if r == role]).float().mean())
        for _, role in keep
    }
    assert abs(share["mlp_in"] - share["query"]) < 0.2


def test_heads_and_neurons_at_once():
    keep = prune_net(tiny_net(), Combined([Head(), Neuron()]), 0.5)
    assert len(keep) == 12
    assert all(mask.float().mean() == 0.5 for mask in keep.values())
