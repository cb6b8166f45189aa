"""Weight updates of SparseGPT."""

import itertools

import pytest
import torch

from tests.conftest import random_batches, tiny_net
from tests.pruning.criteria.toy import X, damped_hessian, learn
from vitprune.pruning import Element, LayerSelection, Masks, Method, NofM, SparseGPT
from vitprune.pruning.criteria.calibration import calibrate
from vitprune.pruning.criteria.criterion import Scoring
from vitprune.pruning.update import update_masks


def test_weights_are_updated_as_by_optimal_brain_surgery(toy):
    net, layer = toy
    criterion = SparseGPT()
    scoring = Scoring("linear", 1, 42, learn(criterion, net, layer, [5]))
    keep = torch.rand(6, 8, generator=torch.Generator().manual_seed(5)) > 0.5
    expected, hessian = layer.weight.detach().double().clone(), damped_hessian()
    for row, column in itertools.product(
        range(6), range(8)
    ):  # columns to the left are settled, those to the right adapt
        if not keep[row, column]:
            inverse = hessian[column:, column:].inverse()
            expected[row, column:] -= expected[row, column] / inverse[0, 0] * inverse[0]
    updated = criterion.update_weights(layer.weight.detach(), keep, scoring)
    torch.testing.assert_close(updated.double(), expected * keep, rtol=1e-3, atol=1e-5)
    inputs = X.flatten(0, 1)
    dense, cut = layer.weight.detach(), layer.weight.detach() * keep
    assert (inputs @ (updated - dense).T).square().sum() < (inputs @ (cut - dense).T).square().sum()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_weights_of_any_precision_are_updated(toy, dtype):
    net, layer = toy
    criterion = SparseGPT()
    scoring = Scoring("linear", 1, 42, learn(criterion, net, layer, [5]))
    keep = torch.rand(6, 8, generator=torch.Generator().manual_seed(5)) > 0.5
    weight = layer.weight.detach()
    updated = criterion.update_weights(weight.to(dtype), keep, scoring)
    assert updated.dtype == dtype
    torch.testing.assert_close(
        updated.float(), criterion.update_weights(weight, keep, scoring), rtol=2e-2, atol=2e-3
    )


def test_wide_layers_are_updated_in_blocks_as_in_one():
    """More columns than are gathered for one update."""
    torch.manual_seed(0)
    weight, inputs = torch.randn(4, 300), torch.randn(1, 900, 300)
    criterion = SparseGPT()
    factor = criterion.conclude(criterion.observe(inputs, torch.empty(0)).double())
    keep = torch.rand(4, 300) > 0.5
    expected = weight.clone()
    for column in range(300):
        error = torch.where(keep[:, column], 0, expected[:, column] / factor[column, column])
        expected[:, column:] -= error.outer(factor[column, column:])
    updated = criterion.update_weights(weight, keep, Scoring("x", 1, 42, factor))
    torch.testing.assert_close(updated, expected * keep, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("granularity", [Element(), NofM(2, 4)], ids=["element", "2:4"])
def test_updated_weights_leave_the_outputs_closer_than_plain_pruning(granularity):
    def error(*, update):
        net = tiny_net(initializer_range=0.2)
        layers = LayerSelection().select(net)
        batches = random_batches(net, 64, [64])
        with torch.no_grad():
            before = net(
                pixel_values=torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(3))
            ).logits
        criterion = SparseGPT()
        statistics = calibrate(criterion, layers, batches)
        if not update:
            criterion.updates_weights = False
        update_masks(Masks(layers), Method(criterion, granularity), 0.5, statistics=statistics)
        assert all(abs(float((layer.weight == 0).float().mean()) - 0.5) < 0.01 for layer in layers)
        with torch.no_grad():
            after = net(
                pixel_values=torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(3))
            ).logits
        return float((after - before).square().mean())

    assert error(update=True) < 0.9 * error(update=False)
