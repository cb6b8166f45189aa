import pytest

from tests.pruning.layers import linear_layers


@pytest.fixture
def masks():
    """Return the masks of three layers, each with larger weights than the one before."""
    found = linear_layers([(20, 30), (8, 10), (40, 5)])
    for factor, layer in enumerate(found.layers, start=1):
        layer.weight.data *= factor
    return found
