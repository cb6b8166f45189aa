"""Launchers whose processes end with the training: nothing is lost in silence."""

import pytest

from tests.training.own_modules.modules import Classifier, halving, weights, zeros
from vitprune.errors import UsageError


@pytest.mark.slow  # starts processes where it is not refused
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_the_result_comes_back_or_is_refused_before_training(fit, strategy):
    module, pruning = Classifier(), halving()
    try:
        fit(module, pruning, strategy=strategy, devices=2)
    except UsageError as error:
        assert strategy in str(error)
        assert zeros(*weights(module)) == 0
    else:
        assert pruning.state.finished
        assert zeros(*weights(module)) == pruning.state.sparsity == 0.5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_notebook_with_one_device(fit):
    module, pruning = Classifier(), halving()
    fit(module, pruning, strategy="auto", devices=1)
    assert pruning.state.finished
    assert zeros(*weights(module)) == 0.5
