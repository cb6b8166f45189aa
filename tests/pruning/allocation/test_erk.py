"""ERK against its formula."""

from tests.pruning.layers import pruned, sparsities_after
from vitprune.pruning import ERK


def test_densities_are_in_proportion(masks):
    densities = [1 - sparsity for sparsity in sparsities_after(masks, 0.9, ERK())]
    ratios = [(a + b) / (a * b) for a, b in ((20, 30), (8, 10), (40, 5))]
    factors = [density / ratio for density, ratio in zip(densities, ratios, strict=True)]
    assert max(factors) / min(factors) < 1.1  # whole weights
    assert pruned(masks) == 792


def test_densities_above_one_leave_layers_dense(masks):
    sparsities = sparsities_after(masks, 0.3, ERK())
    assert sparsities[1:] == [0.0, 0.0]
    assert pruned(masks) == 264
