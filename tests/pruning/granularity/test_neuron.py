"""MLP neurons."""

import torch

from tests.conftest import tiny_net
from tests.pruning.layers import prune_net
from vitprune.pruning import Neuron


def test_a_neuron_is_a_row_and_a_column(family):
    keep = prune_net(tiny_net(family), Neuron(), 0.25)
    for block in (0, 1):
        rows, columns = keep[block, "mlp_in"], keep[block, "mlp_out"]
        assert torch.equal(rows.all(1), rows.any(1))
        assert torch.equal(rows.all(1), columns.all(0))
        assert torch.equal(columns.all(0), columns.any(0))
        assert rows.all(1).sum() == 48
