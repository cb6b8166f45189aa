"""Weight rewinding."""

import pytest
import torch
from lightning import Callback

from tests.conftest import Regression
from tests.training.pruning.runs import fit, fit_and_look
from vitprune.errors import UsageError
from vitprune.pruning import (
    IterativePruning,
    Levels,
    Movement,
    OneShot,
    Weights,
)


def test_surviving_weights_go_back_to_an_early_value(tmp_path):
    def parameters(trainer, module):
        return {name: value.detach().clone() for name, value in module.named_parameters()}

    pruning = IterativePruning(
        Levels([0.4, 0.6], begin=1, every=2), monitor=None, rewind=Weights(step=2)
    )
    module, seen, _ = fit_and_look(tmp_path, pruning, look=parameters)
    for first_batch in (4, 12):
        for name, early in seen[2].items():
            found = seen[first_batch][name]
            is_pruned = found == 0
            assert torch.equal(found[~is_pruned], early[~is_pruned])
            assert is_pruned.any() == (name in ("first.weight", "second.weight"))
    assert not torch.equal(seen[3]["first.bias"], seen[2]["first.bias"])
    assert float((module.first.weight == 0).float().mean()) == pytest.approx(0.6, abs=0.01)


def test_dense_values_of_a_straight_through_criterion_go_back_too(tmp_path):
    class Looks(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step == 4:
                self.dense = {mask.name: mask.dense.clone() for mask in pruning.masks}

    looks = Looks()
    pruning = IterativePruning(
        OneShot(0.5, begin=1), Movement(), monitor=None, rewind=Weights(step=2)
    )
    fit(tmp_path, pruning, Regression(), callbacks=[looks])
    assert sorted(looks.dense) == ["first.weight", "second.weight"]
    for name, dense in looks.dense.items():
        assert torch.equal(dense, pruning.state.early_weights[name])


def test_weights_must_be_kept_before_the_first_round(tmp_path):
    with pytest.raises(UsageError, match="after step 9, but the first round is due after step 4"):
        fit_and_look(
            tmp_path, IterativePruning(OneShot(0.5, begin=1), monitor=None, rewind=Weights(step=9))
        )
