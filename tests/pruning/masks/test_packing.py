"""Masks as bits."""

import pytest
import torch
from torch import nn

from vitprune.pruning.masks.packing import apply_packed, pack, unpack


@pytest.mark.parametrize("shape", [(1,), (8,), (3, 5), (16, 8), (4, 3, 2, 2), (0, 5), ()])
def test_masks_of_any_shape_are_unpacked_as_they_were(shape):
    keep = torch.rand(shape, generator=torch.Generator().manual_seed(0)) > 0.5
    unpacked = unpack(pack(keep), keep.shape)
    assert torch.equal(unpacked, keep)
    assert unpacked.dtype == torch.bool


def test_eight_weights_take_one_byte():
    assert pack(torch.ones(3, 6, dtype=torch.bool)).tolist() == [255, 255, 192]


def test_the_memory_order_makes_no_difference():
    keep = torch.rand(2, 3, 4, 4) > 0.5
    other = keep.contiguous(memory_format=torch.channels_last)
    assert torch.equal(pack(other), pack(keep))


def test_packed_masks_undo_what_was_written_after_the_last_step():
    net = nn.Sequential(nn.Linear(3, 3))
    keep = torch.eye(3, dtype=torch.bool)
    before = net[0].weight.detach().clone()
    apply_packed(net, {"0.weight": pack(keep)})
    assert torch.equal(net[0].weight, torch.where(keep, before, 0.0))
