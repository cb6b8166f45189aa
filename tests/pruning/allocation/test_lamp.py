"""LAMP against its formula."""

import torch

from tests.pruning.layers import pruned, sparsities_after
from vitprune.pruning import LAMP


def test_the_lowest_scores_of_the_formula_are_pruned(masks):
    squares = [layer.weight.detach().double().square() for layer in masks.layers]
    scores = [
        torch.tensor([[w / square[square >= w].sum() for w in row] for row in square])
        for square in squares
    ]
    threshold = torch.cat([score.flatten() for score in scores]).sort().values[int(0.6 * 880) - 1]
    sparsities_after(masks, 0.6, LAMP())
    for layer, score in zip(masks.layers, scores, strict=True):
        assert torch.equal(masks[layer.weight], score > threshold)


def test_later_rounds_count_the_remaining_weights(masks):
    sparsities_after(masks, 0.3, LAMP())
    before = [masks[layer.weight].clone() for layer in masks.layers]
    sparsities_after(masks, 0.6, LAMP(), round=2)
    assert pruned(masks) == 528
    assert not any(
        (masks[layer.weight] & ~old).any() for layer, old in zip(masks.layers, before, strict=True)
    )


def test_no_layer_is_pruned_whole(masks):
    masks.layers[0].weight.data *= 1e-6
    sparsities_after(masks, 0.99, LAMP())
    assert all(masks[layer.weight].any() for layer in masks.layers)
