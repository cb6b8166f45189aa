"""The map of densities."""

from tests.conftest import tiny_net, tiny_swin
from vitprune.figures.density import plot_density
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import LayerSelection


def test_columns_are_blocks_after_their_stages():
    figure = plot_density({layer.name: 0.5 for layer in find_layers(tiny_swin())})
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "-",
        "0.0",
        "0.1",
        "1.0",
    ]
    figure = plot_density(
        {layer.name: 0.5 for layer in LayerSelection(blocks=[1]).select(tiny_net())}
    )
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1"]
