"""ERK against its formula."""

from tests.pruning.layers import sparsities_after
from vitprune.pruning import ERK, masks


def test_densities_are_in_proportion(layers):
    densities = [1 - sparsity for sparsity in sparsities_after(layers, 0.9, ERK())]
    ratios = [(a + b) / (a * b) for a, b in ((20, 30), (8, 10), (40, 5))]
    factors = [density / ratio for density, ratio in zip(densities, ratios, strict=True)]
    assert max(factors) / min(factors) < 1.1  # whole weights
    assert sum(int((~masks.read(layer)).sum()) for layer in layers) == 792


def test_densities_above_one_leave_layers_dense(layers):
    sparsities = sparsities_after(layers, 0.3, ERK())
    assert sparsities[1:] == [0.0, 0.0]
    assert sum(int((~masks.read(layer)).sum()) for layer in layers) == 264
