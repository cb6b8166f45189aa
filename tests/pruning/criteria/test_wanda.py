"""Comparison within outputs."""

from tests.pruning.criteria.toy import learn
from vitprune.pruning import Method, Wanda, masks
from vitprune.pruning.update import update_masks


def test_wanda_compares_within_outputs_as_published_or_within_the_layer(toy):
    net, layer = toy
    statistics = {"linear": learn(Wanda(), net, layer, [5])}
    update_masks([layer], Method(Wanda()), 0.5, statistics=statistics)
    assert masks.read(layer).sum(1).tolist() == [4] * 6
    masks.read(layer).fill_(True)
    update_masks([layer], Method(Wanda(per_output=False)), 0.5, statistics=statistics)
    assert masks.read(layer).sum() == 24
    assert masks.read(layer).sum(1).unique().numel() > 1
