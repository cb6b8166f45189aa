"""The search of `AccuracyGuarded`."""

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning import Callback

from tests.conftest import Regression, quiet_trainer, regression_loader
from tests.training.pruning.runs import Every, fit, fit_and_look, keeps, load, save
from vitprune.errors import UsageError
from vitprune.pruning import (
    AccuracyGuarded,
    IterativePruning,
    PerLayer,
    Uniform,
)
from vitprune.training.pruning.search import Search


def test_a_schedule_that_follows_the_metric_ends_where_nothing_more_can_fall(tmp_path):
    guarded = AccuracyGuarded(step=0.2, max_drop=9, begin=0)
    pruning = IterativePruning(guarded, allocation=Uniform(min_density=0.5), monitor="val/score")
    fit(tmp_path, pruning, max_epochs=9)
    assert [r.sparsity for r in pruning.state.rounds] == pytest.approx([0.2, 0.4, 0.5], abs=0.01)
    other = IterativePruning(
        AccuracyGuarded(step=0.2, max_drop=9),
        allocation=Uniform(min_density=0.5),
        monitor="val/score",
    )
    load(other, save(pruning))
    assert other.state.finished


def test_layers_that_are_to_keep_everything_lower_what_can_be_reached(tmp_path):
    guarded = AccuracyGuarded(step=0.3, max_drop=9)
    sparsities = PerLayer({"first": 0.0, "second": 0.5})  # 128 and 64 weights
    pruning = IterativePruning(guarded, allocation=sparsities, monitor="val/score")
    with pytest.warns(UserWarning, match="all weights of second are pruned"):
        fit(tmp_path, pruning)
    assert [r.sparsity for r in pruning.state.rounds] == pytest.approx([0.3, 1 / 3], abs=0.01)
    assert pruning.masks[pruning.layers[0].weight].all()


def test_a_schedule_that_follows_the_metric_sets_out_from_what_is_zero(tmp_path):
    module = Regression()
    for layer in (module.first, module.second):
        layer.weight.data.view(-1)[::2] = 0
    pruning = IterativePruning(
        AccuracyGuarded(step=0.2, max_drop=9, max_sparsity=0.8), monitor="val/score"
    )
    fit(tmp_path, pruning, module)
    assert [r.sparsity for r in pruning.state.rounds] == pytest.approx([0.7, 0.8], abs=0.01)


class TestAccuracyGuarded:
    def test_decisions(self):
        search = Search(AccuracyGuarded(step=0.2, max_drop=0.01, patience=2, min_step=0.05))
        assert search.sparsity(1) == 0.2
        assert search.observe(0.90, dense=0.90)
        assert search.sparsity(2) == pytest.approx(0.4)

        assert not search.observe(0.88, dense=0.90)
        assert (search.retreating, search.rounds_due(5)) == (False, 2)  # it may recover yet
        assert search.observe(0.891, dense=0.90)
        assert search.sparsity(3) == pytest.approx(0.6)

        assert not search.observe(0.5, dense=0.9)
        assert not search.observe(0.5, dense=0.9)
        assert search.retreating
        assert search.sparsity(4) == pytest.approx(0.5)  # half the step from the last good one

        assert not search.observe(0.5, dense=0.9)
        assert not search.observe(0.5, dense=0.9)
        assert search.sparsity(5) == pytest.approx(0.45)

        assert not search.observe(0.5, dense=0.9)
        assert not search.observe(0.5, dense=0.9)
        assert search.ended

    def test_a_round_has_no_total_where_none_is_known(self, tmp_path, capsys):
        fit_and_look(
            tmp_path,
            IterativePruning(
                AccuracyGuarded(step=0.4, max_drop=9, max_sparsity=0.7), monitor="val/score"
            ),
        )
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition(" epoch")[0] for line in lines if line.startswith("round")] == [
            "round 1",
            "round 2",
        ]

    def test_it_ends_where_nothing_is_left_to_gain(self):
        search = Search(AccuracyGuarded(step=0.4, max_sparsity=0.7))
        assert search.observe(1, dense=1)
        assert (search.ended, search.sparsity(2)) == (False, 0.7)
        assert search.observe(1, dense=1)
        assert search.ended

    def test_a_sparsity_that_failed_at_the_limit_is_not_tried_again(self):
        search = Search(AccuracyGuarded(step=0.4, patience=1, max_sparsity=0.5))
        assert search.observe(1, dense=1)
        assert search.sparsity(2) == 0.5
        assert not search.observe(0, dense=1)
        assert search.sparsity(3) == pytest.approx(0.45)  # neither 0.6 nor 0.5 again

    def test_a_run_finds_its_limit_and_keeps_the_last_good_state(self, tmp_path):
        """The metric is the density, so a drop of 0.55 allows a sparsity of 0.55."""

        class Counting(Regression):
            def validation_step(self, batch, batch_idx):
                weights = torch.cat([self.first.weight.flatten(), self.second.weight.flatten()])
                self.log("val/score", 1 - (weights == 0).float().mean(), batch_size=len(batch[0]))

        schedule = AccuracyGuarded(step=0.2, max_drop=0.555, patience=2, min_step=0.04)
        pruning = IterativePruning(schedule, monitor="val/score")

        def look(trainer, module):
            return round(1 - float(keeps(trainer, module).float().mean()), 2)

        _, seen, trainer = fit_and_look(tmp_path, pruning, Counting(), look, max_epochs=30)
        assert seen[::4] == [0.2, 0.4, 0.6, 0.6, 0.5, 0.6, 0.6, 0.55, 0.6, 0.6]
        assert trainer.current_epoch == 10
        assert 1 - float(keeps(trainer, None).float().mean()) == pytest.approx(0.55, abs=0.01)

    def test_weights_go_back_with_the_masks(self, tmp_path):
        class Failing(Regression):
            def validation_step(self, batch, batch_idx):
                self.log("val/score", -float(self.trainer.current_epoch > 0), batch_size=8)

        pruning = IterativePruning(
            AccuracyGuarded(step=0.4, patience=1, min_step=0.1), monitor="val/score"
        )

        class Look(Callback):
            def __init__(self):
                self.pruned = []

            def on_validation_end(self, trainer, pl_module):
                self.pruned.append(pl_module.first.bias.detach().clone())

        class Before(Every):
            def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
                if batch_idx == 0:
                    self.seen.append(pl_module.first.bias.detach().clone())

        trainer = quiet_trainer(
            tmp_path, callbacks=[pruning, look := Look(), before := Before(None)], max_epochs=6
        )
        trainer.fit(Failing(), regression_loader(), regression_loader())
        assert torch.equal(
            before.seen[2], look.pruned[0]
        )  # the good state after epoch 0, not that of the failed epoch 1
        assert not torch.equal(before.seen[2], look.pruned[1])

    def test_the_dense_model_counts_as_it_is_when_the_first_round_comes(self, tmp_path):
        """Fine-tuned before the first round, it is better; the drop is measured from there."""

        class Improving(Regression):
            def validation_step(self, batch, batch_idx):
                pruned = float((self.first.weight == 0).float().mean()) > 0
                epoch = (
                    0 if self.trainer.state.stage == "sanity_check" else self.trainer.current_epoch
                )
                self.log(
                    "val/score", torch.tensor(0.5 if pruned else 0.1 + 0.4 * epoch), batch_size=8
                )

        pruning = IterativePruning(
            AccuracyGuarded(0.4, patience=1, min_step=0.3, begin=3), monitor="val/score"
        )
        fit_and_look(tmp_path, pruning, Improving(), max_epochs=6)
        assert pruning.state.dense["val/score"] == pytest.approx(0.9)
        assert [round.target for round in pruning.state.rounds] == [0.4]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"step": 0.0}, "min_step <= step"),
            ({"max_drop": -1}, "max_drop >= 0"),
            ({"patience": 0}, "patience >= 1"),
        ],
    )
    def test_impossible_settings(self, options, message):
        with pytest.raises(UsageError, match=message):
            AccuracyGuarded(**options)


@pytest.mark.parametrize("name", ["AccuracyGuarded", "vitprune.pruning.AccuracyGuarded"])
def test_a_configuration_takes_it_in_place_of_a_schedule(name):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--pruning", type=IterativePruning)
    parsed = parser.parse_args([f"--pruning.schedule={name}", "--pruning.schedule.max_drop=0.1"])
    assert parsed.pruning.schedule.class_path.endswith(".AccuracyGuarded")
    assert parsed.pruning.schedule.init_args.max_drop == 0.1


def test_a_search_that_has_ended_trains_no_further(tmp_path, capsys):
    """As after an interruption of its export: the resume goes on with what follows training."""

    def search():
        return IterativePruning(
            AccuracyGuarded(step=0.2, max_drop=9, max_sparsity=0.4), monitor="val/score"
        )

    last = str(tmp_path / "last.ckpt")
    first = search()
    _, _, trainer = fit(tmp_path, first, max_epochs=9)
    trainer.save_checkpoint(last)
    second = search()
    resumed = quiet_trainer(tmp_path, callbacks=[second], max_epochs=9)
    capsys.readouterr()
    resumed.fit(Regression(), regression_loader(), regression_loader(), ckpt_path=last)
    assert resumed.global_step == trainer.global_step
    out = capsys.readouterr().out
    assert "The pruning schedule of this checkpoint is complete; no training is left." in out
    assert "round 2 epoch 1 sparsity 40" in out
