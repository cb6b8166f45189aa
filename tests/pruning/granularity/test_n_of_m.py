"""N:M sparsity."""

import torch

from tests.conftest import tiny_net
from tests.pruning.layers import prune_net
from vitprune.pruning import Global, LayerSelection, NofM


def test_a_scheduled_sparsity_is_met_in_every_round_of_n_of_m():
    net = tiny_net()
    for number, sparsity in enumerate((0.1, 0.3, 0.5), start=1):
        keep = prune_net(net, NofM(2, 4), sparsity, Global(), round=number)
        total = torch.cat([mask.flatten() for mask in keep.values()])
        assert int((~total).sum()) == round(sparsity * total.numel())
        assert total.view(-1, 4).sum(1).min() >= 2
    assert total.view(-1, 4).sum(1).max() == 2


def test_two_of_four_is_what_sparse_tensor_cores_take():
    """By the rules of the packed format in torch itself."""
    from torch.sparse._semi_structured_conversions import (
        sparse_semi_structured_from_dense_cutlass as pack,
    )
    from torch.sparse._semi_structured_conversions import (
        sparse_semi_structured_to_dense_cutlass as unpack,
    )

    net = tiny_net(hidden_size=64, intermediate_size=128)
    prune_net(net, NofM(2, 4), 0.5)
    for layer in LayerSelection().select(net):
        weight = layer.weight.detach().half()
        assert torch.equal(unpack(*pack(weight)), weight)
