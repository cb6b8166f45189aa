"""Masks in a checkpoint."""

import pytest
import torch

from tests.pruning.masks.training import (
    are_zero,
    masks_of,
    pruned_entries,
    pruned_net,
    small_net,
)
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import Masks


def first_layer(net):
    return Masks(find_layers(net)[:1])


def test_masks_are_restored_from_a_file(tmp_path):
    net, masks = pruned_net()
    torch.save(masks.state_dict(), tmp_path / "masks")
    other = small_net()
    restored = masks_of(other)
    restored.load_state_dict(torch.load(tmp_path / "masks", weights_only=True))
    for index in (0, 2):
        assert torch.equal(restored[other[index].weight], masks[net[index].weight])
    assert are_zero(pruned_entries(restored))


def test_a_kept_weight_that_is_zero_by_chance_is_kept():
    net = small_net()
    masks = masks_of(net)
    net[0].weight.data[0, 0] = 0.0
    restored = masks_of(net)
    assert not restored[net[0].weight][0, 0]
    restored.load_state_dict(masks.state_dict())
    assert restored[net[0].weight].all()


def test_the_state_takes_one_bit_for_each_weight_and_stays_as_it_was_saved():
    net, masks = pruned_net()
    state = masks.state_dict()
    before = {name: bits.clone() for name, bits in state["keep"].items()}
    assert {name: bits.nbytes for name, bits in before.items()} == {"0.weight": 16, "2.weight": 8}
    assert state["dense"] == {}
    with masks.changing():
        masks[net[0].weight].fill_(False)
    assert all(torch.equal(state["keep"][name], bits) for name, bits in before.items())


def test_restored_masks_are_held():
    net, masks = pruned_net()
    other = small_net()
    restored = masks_of(other)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    restored.enforce(optimizer)
    restored.load_state_dict(masks.state_dict())
    other(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    assert are_zero(pruned_entries(restored))


def test_a_checkpoint_with_fewer_masks_is_refused_and_changes_nothing():
    net = small_net()
    masks = masks_of(net)
    _, pruned = pruned_net()
    state = pruned.state_dict()
    del state["keep"]["2.weight"]
    with pytest.raises(UsageError, match=r"no mask for 2\.weight, which is one of the layers"):
        masks.load_state_dict(state)
    assert net[0].weight.all()


def test_a_checkpoint_with_more_masks_is_refused():
    _, pruned = pruned_net()
    masks = first_layer(small_net())
    with pytest.raises(UsageError, match=r"a mask for 2\.weight, which is not one of the layers"):
        masks.load_state_dict(pruned.state_dict())
