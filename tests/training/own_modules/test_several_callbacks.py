"""Two pruning callbacks on disjoint layers."""

import pytest
import torch

from tests.training.own_modules.modules import (
    Classifier,
    Sparsities,
    have_the_same_parameters,
    zeros,
)
from vitprune.errors import UsageError
from vitprune.pruning import IterativePruning, LayerSelection, Linear, OneShot


def first_layers():
    layers = LayerSelection(names=["net.0", "net.2"])
    return IterativePruning(Linear(0.75, end=2), layers=layers, monitor=None)


def last_layer():
    return IterativePruning(
        OneShot(0.25, begin=1), layers=LayerSelection(names=["net.4"]), monitor="accuracy"
    )


def test_both_work(fit):
    first, last = first_layers(), last_layer()
    watches = [Sparsities(lambda m, i=i: [m.net[i].weight]) for i in (0, 2, 4)]
    fit(Classifier(), first, last, *watches)
    assert watches[0].seen == watches[1].seen == [0.25] * 4 + [0.5] * 4 + [0.75] * 4
    assert watches[2].seen == [0.0] * 4 + [0.25] * 8
    assert [len(pruning.state.rounds) for pruning in (first, last)] == [3, 1]
    assert (first.state.sparsity, last.state.sparsity) == (0.75, 0.25)


def test_each_resumes_from_its_own_state(fit, tmp_path):
    path = tmp_path / "both.ckpt"
    whole, resumed = Classifier(), Classifier()
    fit(whole, first_layers(), last_layer(), max_epochs=4)
    fit(Classifier(), first_layers(), last_layer(), max_epochs=3).save_checkpoint(path)
    assert len(torch.load(path, weights_only=True)["pruning"]) == 2
    first, last = first_layers(), last_layer()
    fit(resumed, first, last, ckpt_path=path, max_epochs=4)
    assert have_the_same_parameters(whole, resumed)
    assert [len(pruning.state.rounds) for pruning in (first, last)] == [3, 1]


@pytest.mark.parametrize(
    ("number", "message"), [(1, r"by 2 IterativePruning callbacks"), (2, r"pruning\.schedule")]
)
def test_a_resume_without_one_or_in_another_order_is_refused(fit, tmp_path, number, message):
    path = tmp_path / "both.ckpt"
    fit(Classifier(), first_layers(), last_layer()).save_checkpoint(path)
    callbacks = [last_layer(), first_layers()][:number]
    with pytest.raises(UsageError, match=message):
        fit(Classifier(), *callbacks, ckpt_path=path, max_epochs=4)


def test_overlap_is_refused_by_name(fit):
    other = IterativePruning(OneShot(0.5), monitor=None)
    with pytest.raises(UsageError, match=r"net\.0"):
        fit(Classifier(), first_layers(), other)


def test_a_parameter_that_both_reach_under_two_names_is_refused(fit):
    module = Classifier()
    module.twin = torch.nn.Linear(32, 32)
    module.twin.weight = module.net[2].weight
    twin = IterativePruning(OneShot(0.5), layers=LayerSelection(names=["twin"]), monitor=None)
    with pytest.raises(UsageError, match="twin"):
        fit(module, first_layers(), twin)
    assert zeros(module.twin.weight) == 0
