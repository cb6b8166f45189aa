"""Pruned entries that are trained as well; see `test_against_parametrize.py` for the values."""

import pytest
import torch

from tests.pruning.masks.training import (
    are_zero,
    backward,
    masks_of,
    pruned_entries,
    small_net,
    values_of,
)
from vitprune.pruning import Method, Movement
from vitprune.pruning.update import update_masks


@pytest.fixture
def trained():
    """Return a net with one pruned row, its masks, and an optimizer with their hooks."""
    net = small_net()
    masks = masks_of(net, straight_through=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.1)
    masks.enforce(optimizer)
    with masks.changing():
        masks[net[0].weight][0] = False
    return net, masks, optimizer


def dense_row(net, masks, optimizer):
    """Return the dense values of the pruned row."""
    masks.before_step(optimizer)
    row = net[0].weight[0].detach().clone()
    masks.after_step(optimizer)
    return row


def test_pruned_entries_get_their_gradients(trained):
    net, _, _ = trained
    net[0].bias.data[0] = 1.0  # the ReLU after the pruned row lets gradients pass
    backward(net)
    assert net[0].weight.grad[0].all()


def test_a_step_trains_dense_values_behind_the_zeros(trained):
    net, masks, optimizer = trained
    before = small_net()[0].weight[0].detach()
    assert torch.equal(dense_row(net, masks, optimizer), before)
    backward(net)
    masks.before_step(optimizer)
    optimizer.step()
    assert are_zero(pruned_entries(masks))
    gradient = net[0].weight.grad[0]
    torch.testing.assert_close(
        dense_row(net, masks, optimizer), before - 0.1 * (gradient + 0.1 * before)
    )


def test_a_step_that_is_skipped_changes_nothing(trained):
    net, masks, optimizer = trained
    values, row = values_of(net), dense_row(net, masks, optimizer)
    masks.before_step(optimizer)
    masks.after_step(optimizer)
    assert are_zero(pruned_entries(masks))
    assert all(map(torch.equal, net.parameters(), values))
    assert torch.equal(dense_row(net, masks, optimizer), row)


def test_zeros_that_are_put_back_twice_do_not_become_dense_values(trained):
    net, masks, optimizer = trained
    row = dense_row(net, masks, optimizer)
    masks.after_step(optimizer)
    assert torch.equal(dense_row(net, masks, optimizer), row)


def test_a_regrown_weight_has_its_dense_value(trained):
    net, masks, optimizer = trained
    row = dense_row(net, masks, optimizer)
    with masks.changing():
        masks[net[0].weight].fill_(True)
    assert torch.equal(net[0].weight[0], row)


def test_only_the_parameters_of_the_optimizer_get_dense_values():
    net = small_net()
    masks = masks_of(net, straight_through=True)
    first, second = (torch.optim.SGD(net[index].parameters(), lr=0.1) for index in (0, 2))
    masks.enforce(first, second)
    with masks.changing():
        for layer in masks.layers:
            masks[layer.weight][0] = False
    masks.before_step(first)
    assert net[0].weight[0].all()
    assert are_zero(net[2].weight[0].detach())


def test_what_was_written_to_zeros_is_undone_and_dense_values_stay(trained):
    net, masks, optimizer = trained
    row = dense_row(net, masks, optimizer)
    net[0].weight.data.fill_(2.0)
    assert masks.restore() == ["0.weight"]
    assert are_zero(pruned_entries(masks))
    assert torch.equal(dense_row(net, masks, optimizer), row)
    assert net[0].weight[1:].eq(2).all()


def test_a_round_prunes_and_regrows_by_the_scores():
    net = small_net()
    masks = masks_of(net, straight_through=True)
    layer = masks.layers[0]
    before = net[0].weight.detach().clone()
    rows = torch.arange(16.0)[:, None].expand(16, 8)
    for number, scores in enumerate((rows, -rows), start=1):
        statistics = {layer.name: scores, masks.layers[1].name: torch.zeros(4, 16)}
        update_masks(masks, Method(Movement()), 0.5, number, statistics=statistics)
    assert torch.equal(net[0].weight[:8], before[:8])  # pruned in the first round
    assert are_zero(net[0].weight[8:].detach().flatten())


def test_an_error_in_a_round_leaves_zeros_in_place(trained):
    net, masks, optimizer = trained
    row = dense_row(net, masks, optimizer)
    with pytest.raises(RuntimeError, match="out of memory"), masks.changing():
        raise RuntimeError("out of memory")
    assert are_zero(pruned_entries(masks))
    assert torch.equal(dense_row(net, masks, optimizer), row)


def test_masks_and_dense_values_are_restored(trained):
    net, masks, optimizer = trained
    backward(net)
    masks.before_step(optimizer)
    optimizer.step()
    other = small_net()
    other.load_state_dict(net.state_dict())
    restored = masks_of(other, straight_through=True)
    restored.load_state_dict(masks.state_dict())
    again = torch.optim.SGD(other.parameters(), lr=0.1)
    assert torch.equal(dense_row(other, restored, again), dense_row(net, masks, optimizer))
    assert all(map(torch.equal, other.parameters(), net.parameters()))
