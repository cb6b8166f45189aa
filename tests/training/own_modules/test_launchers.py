"""Launchers whose processes end with the training: nothing is lost in silence."""

import pytest
from torch.multiprocessing import ProcessRaisedException

from tests.training.own_modules.modules import Classifier, halving, mlp, weights, zeros
from vitprune.errors import UsageError


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
@pytest.mark.parametrize(
    "strategy", [pytest.param("ddp_spawn", marks=pytest.mark.slow), "ddp_fork"]
)
def test_processes_that_end_with_the_training_are_refused_by_name(fit, strategy):
    """Weights would come back from them, and neither rounds nor masks."""
    module, pruning = Classifier(), halving()
    with pytest.raises((UsageError, ProcessRaisedException), match=f"{strategy}.* ddp and run"):
        fit(module, pruning, strategy=strategy, devices=2)
    for ours, before in zip(weights(module), weights(mlp()), strict=True):
        assert ours.equal(before)


def test_a_notebook_with_one_device(fit):
    """There the only process is that of the notebook."""
    module, pruning = Classifier(), halving()
    fit(module, pruning, strategy="auto", devices=1)
    assert pruning.state.finished
    assert zeros(*weights(module)) == 0.5
