"""Regrowth, with the gradients and masks written out."""

import pytest
import torch

from tests.pruning.layers import kept, layer_of
from vitprune.errors import UsageError
from vitprune.pruning import Masks, Method, RigL, Row
from vitprune.pruning.regrow import Exchange, resetting_optimizers
from vitprune.pruning.update import update_masks

MATRIX = [[1, 2, 3, 4], [5, 6, 7, 8]]
GRADIENTS = {"layer": torch.tensor([[0.0, -9.0, 0.0, 0.0], [0.0, 0.0, 0.0, 5.0]])}


def test_as_many_weights_regrow_as_were_pruned_beyond_the_schedule():
    """Three are pruned by the schedule and two more; of the five, 2 and 1 have the gradients."""
    masks = Masks([layer := layer_of(MATRIX)])
    update_masks(masks, Method(), 3 / 8, exchange=Exchange(0.4, GRADIENTS))
    # 1 to 5 are pruned; 2 regrows by its gradient, of the others, without one, the last
    assert kept(masks, layer) == [[0, 1, 0, 0], [1, 1, 1, 1]]


def test_rows_regrow_by_the_sum_of_their_gradients():
    masks = Masks([layer := layer_of([[1, 1], [2, 2], [3, 3], [4, 4]])])
    gradients = {"layer": torch.tensor([[1.0, -1.0], [0.0, 1.5], [9.0, 9.0], [9.0, 9.0]])}
    method = Method(granularity=Row())
    update_masks(masks, method, 0.25, exchange=Exchange(0.34, gradients))
    assert kept(masks, layer) == [[1, 1], [0, 0], [1, 1], [1, 1]]


def test_nothing_is_exchanged_below_a_whole_group():
    masks = Masks([layer := layer_of(MATRIX)])
    update_masks(masks, Method(), 0.5, exchange=Exchange(0.2, GRADIENTS))
    assert kept(masks, layer) == [[0, 0, 0, 0], [1, 1, 1, 1]]


def test_the_exchanged_share_decreases_along_a_cosine():
    shares = [RigL(0.4).share(round, 4) for round in range(1, 5)]
    assert shares == pytest.approx([0.341421, 0.2, 0.058579, 0.0], abs=1e-6)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_an_impossible_fraction_is_refused(fraction):
    with pytest.raises(UsageError, match=rf"in \(0, 1\) of the kept weights, not {fraction}"):
        RigL(fraction)


def test_changed_weights_restart_with_empty_optimizer_state():
    layer = layer_of([[1, 2], [0, 4]])
    masks = Masks([layer])
    parameter = layer.weight
    optimizer = torch.optim.SGD([parameter], lr=0.0, momentum=0.9)
    parameter.grad = torch.ones(2, 2)
    optimizer.step()
    with resetting_optimizers(masks, [optimizer]), masks.changing():
        masks[parameter].copy_(torch.tensor([[False, True], [True, True]]))
    assert parameter.tolist() == [[0, 2], [0, 4]]  # regrown weights start at zero
    assert optimizer.state[parameter]["momentum_buffer"].tolist() == [[0, 1], [0, 1]]


def test_codes_of_quantized_states_are_left_alone():
    """0 is not the code of zero in a state of 8 bits."""
    masks = Masks([layer := layer_of([[1, 2], [3, 4]])])
    optimizer = torch.optim.SGD([layer.weight], lr=0.0)
    optimizer.state[layer.weight]["codes"] = torch.full((2, 2), 127, dtype=torch.uint8)
    with resetting_optimizers(masks, [optimizer]), masks.changing():
        masks[layer.weight][0] = False
    assert optimizer.state[layer.weight]["codes"].tolist() == [[127, 127], [127, 127]]
