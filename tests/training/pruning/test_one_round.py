"""Mask updates that need statistics: accumulated over the steps, or for regrowing."""

import pytest
import torch
from lightning import Callback
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers.logger import DummyLogger

from tests.conftest import Regression, quiet_trainer, regression_loader
from tests.interrupted import PowerLoss
from tests.training.pruning.runs import Every, fit_and_look, keeps
from vitprune.errors import UsageError
from vitprune.pruning import (
    Cubic,
    Global,
    IterativePruning,
    Levels,
    Movement,
    OneShot,
    RigL,
)


class TestMovement:
    def test_the_score_is_the_sum_of_minus_weight_times_gradient(self, tmp_path):
        expected = torch.zeros(16, 8)

        class Sums(Callback):
            def on_before_optimizer_step(self, trainer, pl_module, optimizer):
                if trainer.current_epoch == 0:
                    weight = pl_module.first.weight
                    expected.sub_((weight * weight.grad).detach())

        pruning = IterativePruning(OneShot(0.5, begin=1), Movement(), monitor=None)
        module = Regression(torch.optim.SGD)
        trainer = quiet_trainer(
            tmp_path, callbacks=[Sums(), pruning], max_epochs=2, limit_train_batches=3
        )
        trainer.fit(module, regression_loader(), regression_loader())
        keep = pruning.masks[pruning.layers[0].weight]
        assert keep.sum() == 64
        assert expected[keep].min() >= expected[~keep].max()

    def test_masked_weights_are_zero_forward_and_learn_all_the_same(self, tmp_path):
        pruning = IterativePruning(Levels([0.3, 0.4], begin=1), Movement(), monitor=None)
        gradients = []

        class Gradients(Regression):
            def on_before_optimizer_step(self, optimizer):
                gradients.append(self.first.weight.grad.clone())

        module, seen, _ = fit_and_look(tmp_path, pruning, Gradients(), look=keeps)
        assert seen[5].float().mean() == pytest.approx(0.7, abs=0.01)
        assert seen[-1].float().mean() == pytest.approx(0.6, abs=0.01)
        assert (~seen[5] & seen[-1]).any()  # some came back
        dropped = ~pruning.masks[module.first.weight]
        assert not module.first.weight[dropped].any()
        assert gradients[-1][dropped].any()

    def test_there_must_be_something_to_learn_from(self, tmp_path):
        with pytest.raises(UsageError, match="begin to 1 or more"):
            fit_and_look(tmp_path, IterativePruning(OneShot(0.5), Movement(), monitor=None))

    def test_a_round_at_every_step_is_not_logged_every_time(self, tmp_path, capsys):
        pruning = IterativePruning(
            Cubic(0.5, begin=1, end=12, every=1, unit="step"), Movement(), monitor=None
        )
        fit_and_look(tmp_path, pruning)
        assert len(pruning.state.rounds) == 12
        assert [
            line.split()[1]
            for line in capsys.readouterr().out.splitlines()
            if line.startswith("round")
        ] == ["12/12"]


class TestRegrowth:
    def look(self, trainer, module):
        weight = module.first.weight
        state = trainer.optimizers[0].state.get(weight, {})
        return {
            "keep": trainer.callbacks[0].masks[weight].clone(),
            "weight": weight.detach().clone(),
            "momentum": state["exp_avg"].clone() if state else torch.zeros_like(weight),
        }

    def test_weights_return_as_zeros_with_no_past(self, tmp_path):
        pruning = IterativePruning(Levels([0.5] * 4), monitor=None, regrow=RigL(0.5))
        _, seen, _ = fit_and_look(tmp_path, pruning, look=self.look)
        exchanged = []
        for round in range(1, 4):
            old, new = seen[4 * round - 1], seen[4 * round]
            assert new["keep"].sum() == old["keep"].sum() == 64
            back, gone = new["keep"] & ~old["keep"], old["keep"] & ~new["keep"]
            assert back.sum() == gone.sum()
            assert not new["weight"][back].any()
            assert not new["momentum"][back | gone].any()
            exchanged.append(int(back.sum()))
        assert exchanged[0] > exchanged[2] == 0  # the fraction falls to nothing in the last round

    def test_those_with_the_largest_gradients_return(self, tmp_path):
        gradients = []

        class Dense(Callback):
            def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
                if trainer.current_epoch == 1 and batch_idx == 0:
                    weight = pl_module.first.weight.detach().clone().requires_grad_()
                    x, y = regression_loader(batch_size=32).dataset.tensors
                    out = pl_module.second(
                        torch.nn.functional.linear(x, weight, pl_module.first.bias).relu()
                    )
                    torch.nn.functional.mse_loss(out, y).backward()
                    gradients.append(weight.grad.abs())

        pruning = IterativePruning(Levels([0.5] * 3), monitor=None, regrow=RigL(0.5))
        before = Every(self.look)
        trainer = quiet_trainer(
            tmp_path, callbacks=[before, Dense(), pruning, after := Every(self.look)], max_epochs=4
        )
        before.look = after.look = lambda trainer, module: pruning.masks[
            module.first.weight
        ].clone()
        torch.manual_seed(0)
        trainer.fit(Regression(), regression_loader(), regression_loader())
        old, new = before.seen[4], after.seen[4]
        back = new & ~old
        assert back.any()
        assert gradients[0][back].min() >= gradients[0][~old & ~new].max()


def test_a_layer_that_is_pruned_whole_is_named(tmp_path):
    """Here the 64 weights of the second layer are the smallest."""
    module = Regression()
    module.second.weight.data.mul_(1e-3)
    pruning = IterativePruning(OneShot(1 / 3), allocation=Global(), monitor=None)
    with pytest.warns(UserWarning, match="all weights of second are pruned.*min_density"):
        fit_and_look(tmp_path, pruning, module, max_epochs=1)


def test_the_last_round_is_logged_by_a_resume_without_training_left(tmp_path):
    """A process that ends after the last checkpoint has not come to the end of training."""
    records = []
    last = str(tmp_path / "last.ckpt")

    class Stop(Checkpoint):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(last)
                raise PowerLoss

    class Records(DummyLogger):
        def log_metrics(self, metrics, step=None):
            records.append(metrics)

    def train(*callbacks, ckpt_path=None):
        pruning = IterativePruning(OneShot(0.5), monitor="val/score")
        options = {"enable_checkpointing": bool(callbacks), "logger": Records()}
        trainer = quiet_trainer(
            tmp_path, callbacks=[pruning, *callbacks], max_epochs=2, log_every_n_steps=1, **options
        )
        trainer.fit(Regression(), regression_loader(), regression_loader(), ckpt_path=ckpt_path)
        return pruning

    with pytest.raises(PowerLoss):
        train(Stop())
    assert not any("round/after_finetuning" in metrics for metrics in records)
    pruning = train(ckpt_path=last)
    (logged,) = [m for m in records if "round/after_finetuning" in m]
    assert logged["round/after_finetuning"] == pruning.state.rounds[0].finetuned
