"""The sparse products of the benchmark are those of the dense, pruned weight."""

import pytest
import torch

from scripts.bench.sparse_products import prune_elements, prune_tiles, torch_products, transposing

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # as torch calls it: beta


def test_sparsities_are_exact():
    weight = torch.randn(64, 32)
    assert int((prune_elements(weight, 0.75) == 0).sum()) == 64 * 32 * 3 // 4
    tiles = prune_tiles(weight, 0.75).view(4, 16, 2, 16).norm(dim=(1, 3))
    assert int((tiles == 0).sum()) == 6


def test_every_product_is_that_of_the_pruned_weight():
    weight, tokens = torch.randn(64, 32), torch.randn(5, 32)
    products = torch_products(weight, tokens, 0.5)
    for name, prune in (("CSR", prune_elements), ("BSR, tiles of 16", prune_tiles)):
        expected = tokens @ prune(weight, 0.5).T
        for layout in ("by linear", "with both transposes"):
            torch.testing.assert_close(products[f"{name}, {layout}"](), expected)
        torch.testing.assert_close(products[f"{name}, tokens in columns"](), expected.T)
    assert transposing(tokens, weight).shape == (5, 64)
    torch.testing.assert_close(products["dense"](), tokens @ weight.T)
