"""LAMP against its formula."""

import torch

from tests.pruning.layers import sparsities_after
from vitprune.pruning import LAMP, masks


def test_the_lowest_scores_of_the_formula_are_pruned(layers):
    squares = [layer.weight.detach().double().square() for layer in layers]
    scores = [
        torch.tensor([[w / square[square >= w].sum() for w in row] for row in square])
        for square in squares
    ]
    threshold = torch.cat([score.flatten() for score in scores]).sort().values[int(0.6 * 880) - 1]
    sparsities_after(layers, 0.6, LAMP())
    for layer, score in zip(layers, scores, strict=True):
        assert torch.equal(masks.read(layer), score > threshold)


def test_later_rounds_count_the_remaining_weights(layers):
    sparsities_after(layers, 0.3, LAMP())
    before = [masks.read(layer).clone() for layer in layers]
    sparsities_after(layers, 0.6, LAMP(), round=2)
    assert sum(int((~masks.read(layer)).sum()) for layer in layers) == 528
    assert not any(
        (masks.read(layer) & ~old).any() for layer, old in zip(layers, before, strict=True)
    )


def test_no_layer_is_pruned_whole(layers):
    layers[0].module.parametrizations.weight.original.data *= 1e-6
    sparsities_after(layers, 0.99, LAMP())
    assert all(masks.read(layer).any() for layer in layers)
