"""Comparison within outputs."""

from tests.pruning.criteria.toy import learn
from vitprune.pruning import Masks, Method, Wanda
from vitprune.pruning.update import update_masks


def kept_per_output(toy, criterion):
    """Return how many weights each output keeps if half of the weights are pruned."""
    net, layer = toy
    masks = Masks([layer])
    statistics = {"linear": learn(criterion, net, layer, [5])}
    update_masks(masks, Method(criterion), 0.5, statistics=statistics)
    return masks[layer.weight].sum(1).tolist()


def test_as_published_every_output_keeps_as_many(toy):
    assert kept_per_output(toy, Wanda()) == [4] * 6


def test_within_the_layer_some_outputs_keep_more(toy):
    kept = kept_per_output(toy, Wanda(per_output=False))
    assert sum(kept) == 24
    assert len(set(kept)) > 1
