"""One ranking over all layers."""

import pytest

from tests.pruning.layers import linear_layers, sparsities_after
from vitprune.pruning import Global


def of_scales(*factors):
    """Return the masks of three layers whose random weights are multiplied by these factors."""
    masks = linear_layers([(20, 30), (8, 10), (40, 5)])
    for factor, layer in zip(factors, masks.layers, strict=True):
        layer.weight.data *= factor
    return masks


def test_a_normalized_ranking_does_not_see_the_scale_of_a_layer():
    plain = sparsities_after(of_scales(1, 2, 3), 0.5, Global())
    assert plain[0] > plain[2] + 0.2
    first = sparsities_after(of_scales(1, 2, 3), 0.5, Global(normalize=True))
    scaled = sparsities_after(of_scales(1, 40, 3), 0.5, Global(normalize=True))
    assert scaled == pytest.approx(first, abs=0.02)
