"""Impossible settings of the axes."""

import pytest

from tests.conftest import tiny_net
from vitprune.errors import UsageError
from vitprune.pruning import Element, LayerSelection, Magnitude, PerLayer, Uniform


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Magnitude(p=0), "positive p"),
        (lambda: Uniform(min_density=1.0), "min_density"),
        (lambda: PerLayer({}), "none at all"),
        (lambda: PerLayer({"query": 1.5}), "1.5"),
        (lambda: LayerSelection(roles=["querry"]), "unknown roles.*valid are query, key"),
        (lambda: LayerSelection(blocks=[7]).select(tiny_net()), "blocks 0 to 1"),
        (
            lambda: LayerSelection(names=["*nothing*"]).select(tiny_net()),
            r"nothing\*' matches no layer(.|\n)*q_proj",
        ),
        (
            lambda: LayerSelection(roles=["query"], names=["*fc1"]).select(tiny_net()),
            "selection matches nothing",
        ),
        (
            lambda: PerLayer({"patch_embed": 0.5}).check(
                LayerSelection().select(tiny_net()), Element()
            ),
            "matches none",
        ),
        (
            lambda: PerLayer({"query": 0.5}).check(LayerSelection().select(tiny_net()), Element()),
            r"no sparsity for .*k_proj",
        ),
    ],
)
def test_impossible_settings_say_what_is_valid(build, message):
    with pytest.raises(UsageError, match=message):
        build()
