"""Masks of compiled models and optimizers."""

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter, CompileCounterWithBackend

from tests.pruning.masks.training import (
    OPTIMIZERS,
    X,
    Y,
    are_zero,
    masks_of,
    pruned_entries,
    small_net,
)
from vitprune.pruning import Method
from vitprune.pruning.update import update_masks


@pytest.fixture(autouse=True)
def _no_graphs_of_other_tests():
    torch._dynamo.reset()


@pytest.fixture
def held():
    """Return a net, its masks, and an optimizer with their hooks."""
    net = small_net()
    masks = masks_of(net)
    optimizer = OPTIMIZERS["adamw"](net.parameters())
    masks.enforce(optimizer)
    return net, masks, optimizer


def test_a_model_is_compiled_once_whatever_its_masks(held):
    net, masks, optimizer = held
    graphs = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net, backend=graphs, fullgraph=True)
    for number, sparsity in enumerate((0.25, 0.5, 0.75), start=1):
        update_masks(masks, Method(), sparsity, number)
        nn.functional.mse_loss(compiled(X), Y).backward()
        optimizer.step()
        assert torch.equal(compiled(X), net(X))
        assert are_zero(pruned_entries(masks))
    assert graphs.frame_count == 1


def test_a_step_is_compiled_no_more_often_when_masks_change(held):
    net, masks, optimizer = held
    graphs = CompileCounter()
    step = torch.compile(optimizer.step, backend=graphs)
    counts = []
    for number, sparsity in enumerate((0.25, 0.5, 0.75), start=1):
        update_masks(masks, Method(), sparsity, number)
        for _ in range(2):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(X), Y).backward()
            step()
            assert are_zero(pruned_entries(masks))
        counts.append(graphs.frame_count)
    assert counts[0] > 0
    assert counts == [counts[0]] * 3
