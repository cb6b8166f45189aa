"""Weight updates in the order of the layers."""

import copy

import pytest
import torch

from tests.conftest import tiny_net
from vitprune.errors import UsageError
from vitprune.model.token_merging import merge_tokens
from vitprune.pruning import LayerSelection, Method, NofM, SparseGPT, prune
from vitprune.pruning.reconstruct import ITERATIONS, _conjugate_gradients

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randn(128, 3, 16, 16, generator=GENERATOR)
BATCHES = [{"pixel_values": part, "labels": torch.arange(32) % 5} for part in IMAGES.split(32)]


@torch.no_grad()
def error(net, dense):
    """Return the relative squared error of the last hidden states."""
    ours, theirs = (
        each(pixel_values=IMAGES, output_hidden_states=True).hidden_states[-1]
        for each in (net, dense)
    )
    return float((ours - theirs).square().sum() / theirs.square().sum())


@pytest.mark.parametrize("granularity", [None, NofM(2, 4)], ids=["element", "2:4"])
def test_the_pruned_model_is_closer_to_the_dense_one(granularity):
    dense = tiny_net(initializer_range=0.2)
    errors, zeros = [], []
    for in_order in (False, True):
        net = copy.deepcopy(dense)
        prune(net, Method(SparseGPT(in_order=in_order), granularity), 0.5, iter(BATCHES))
        errors.append(error(net, dense))
        zeros.append([layer.weight == 0 for layer in LayerSelection().select(net)])
    assert errors[1] < 0.8 * errors[0]
    assert all(torch.equal(*pair) for pair in zip(*zeros, strict=True))


def test_each_row_is_the_least_squares_solution_on_its_kept_weights():
    weight, inputs = torch.randn(6, 8, generator=GENERATOR).double(), torch.randn(40, 8).double()
    kept = torch.rand(6, 8, generator=GENERATOR) > 0.5
    kept[0] = False
    matrix = inputs.T @ inputs
    assert ITERATIONS > 8
    solution = _conjugate_gradients(torch.zeros(6, 8).double(), kept, matrix, weight @ matrix)
    for row in range(6):
        among = matrix[kept[row]][:, kept[row]]
        expected = torch.linalg.solve(among, (weight[row] @ matrix)[kept[row]])
        torch.testing.assert_close(solution[row][kept[row]], expected)
    assert not solution[~kept].any()


def test_models_whose_blocks_do_not_run_in_order_are_refused():
    net = tiny_net()
    merge_tokens(net, 1)
    with pytest.raises(UsageError, match="in_order of SparseGPT needs .* without token merging"):
        prune(net, Method(SparseGPT(in_order=True)), 0.5, BATCHES)
    assert all(layer.weight.all() for layer in LayerSelection().select(net))
