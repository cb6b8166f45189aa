"""One ranking over all layers."""

import pytest

from tests.pruning.layers import sparsities_after
from vitprune.pruning import Global, masks


def test_a_normalized_ranking_does_not_see_the_scale_of_a_layer(layers):
    plain = sparsities_after(layers, 0.5, Global())
    assert plain[0] > plain[2] + 0.2
    for layer in layers:
        masks.read(layer).fill_(True)
    first = sparsities_after(layers, 0.5, Global(normalize=True))
    for layer in layers:
        masks.read(layer).fill_(True)
    layers[1].module.parametrizations.weight.original.data *= 20
    assert sparsities_after(layers, 0.5, Global(normalize=True)) == pytest.approx(first, abs=0.02)
