"""A validation in the middle of training."""

import pytest
import torch
from torch import nn

from tests.conftest import Regression, quiet_trainer, regression_loader
from tests.training.pruning.runs import fit
from vitprune.errors import UsageError
from vitprune.pruning import (
    Cubic,
    IterativePruning,
    OneShot,
)


class Noisy(Regression):
    """Draws from the global generator in every training step."""

    def training_step(self, batch, batch_idx):
        return super().training_step((nn.functional.dropout(batch[0], 0.3), batch[1]), batch_idx)


def test_a_metric_of_the_whole_epoch_is_recorded(tmp_path):
    class AtTheEnd(Regression):
        def validation_step(self, batch, batch_idx):
            self.total = getattr(self, "total", 0.0) + float(self(batch[0]).abs().sum())

        def on_validation_epoch_end(self):
            self.log("val/total", self.total)
            self.total = 0.0

    pruning = IterativePruning(OneShot(0.5, begin=1), monitor="val/total")
    fit(tmp_path, pruning, AtTheEnd(), max_epochs=2)
    assert 0 < pruning.state.rounds[0].pruned != pruning.state.rounds[0].finetuned


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")
def test_the_extra_validation_leaves_no_trace(tmp_path):
    """With and without it, training is bit for bit the same; submodules keep their modes."""
    results = []
    for monitor in ("val/score", None):
        torch.manual_seed(0)
        module = Noisy()
        module.second.eval()  # frozen on purpose by its owner
        fit(tmp_path, IterativePruning(Cubic(0.8, end=3), monitor=monitor), module)
        assert module.first.training
        assert "log" not in vars(module)
        results.append(module.state_dict())
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name])


def test_plain_values_weigh_as_much_as_their_batch(tmp_path):
    """As Lightning has it: with the weights unchanged, the metric before is the metric after."""

    class Plain(Regression):
        def validation_step(self, batch):
            self.log("val/score", batch[1].mean())

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    pruning = IterativePruning(OneShot(0.0), monitor="val/score")
    torch.manual_seed(0)
    trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=1)
    trainer.fit(Plain(), regression_loader(), regression_loader(images=9, batch_size=8))
    assert pruning.state.dense["val/score"] == pytest.approx(
        pruning.state.rounds[0].finetuned, abs=1e-6
    )
    assert pruning.state.rounds[0].pruned == pytest.approx(
        pruning.state.rounds[0].finetuned, abs=1e-6
    )


def test_a_metric_of_several_validation_loaders_is_refused(tmp_path):
    trainer = quiet_trainer(
        tmp_path, callbacks=[IterativePruning(OneShot(0.5), monitor="val/score")], max_epochs=1
    )
    with pytest.raises(UsageError, match="needs one validation loader, and there are 2"):
        trainer.fit(Regression(), regression_loader(), [regression_loader(), regression_loader()])
