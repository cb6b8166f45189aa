"""Rectangular tiles."""

import torch

from tests.conftest import tiny_net
from tests.pruning.layers import prune_net
from vitprune.pruning import Tile


def test_tiles_are_rectangles():
    net = tiny_net()
    for mask in prune_net(net, Tile(8, 4), 0.5).values():
        tiles = mask.view(len(mask) // 8, 8, -1, 4)
        assert torch.equal(tiles.all(3).all(1), tiles.any(3).any(1))
