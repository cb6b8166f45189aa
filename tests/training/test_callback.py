"""The callback on a module that has nothing to do with this package, and what it promises about time."""

import pytest
import torch
from lightning import Callback, LightningModule
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from tests.conftest import TINY, Regression, quiet_trainer, regression_loader, tiny_net
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.pruning import (
    AccuracyGuarded,
    Combined,
    Cubic,
    Head,
    IterativePruning,
    LayerSelection,
    LearningRate,
    Levels,
    Linear,
    Neuron,
    OneShot,
    PerLayer,
    Random,
    Uniform,
    masks,
)


class Watch(Callback):
    """Note the sparsity of the real weights at every hook that matters."""

    def __init__(self):
        self.seen, self.shown = [], []

    def _note(self, hook, module):
        weights = [module.first.weight, module.second.weight]
        zeros = sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)
        self.seen.append(
            (hook, module.trainer.current_epoch, module.trainer.global_step, round(zeros, 4))
        )

    def on_train_batch_end(self, trainer, pl_module, *_):
        self._note("step", pl_module)
        self.shown.append(round(trainer.callbacks[0].state.sparsity, 4))

    def on_validation_end(self, trainer, pl_module):
        self._note("validation", pl_module)

    def at(self, hook):
        return [entry[3] for entry in self.seen if entry[0] == hook]


def fit(tmp_path, pruning, module=None, loader=None, callbacks=(), **options):
    torch.manual_seed(0)
    module, watch = module or Regression(), Watch()
    trainer = quiet_trainer(
        tmp_path, callbacks=[pruning, *callbacks, watch], **{"max_epochs": 5, **options}
    )
    trainer.fit(module, loader or regression_loader(), regression_loader())
    return module, watch, trainer


@pytest.mark.parametrize(
    ("sparsity", "options", "most"),
    [
        (0.9, {"granularity": Head()}, "0.5000"),
        (0.8, {"allocation": Uniform(min_density=0.4)}, "0.5996"),
    ],
)
def test_a_sparsity_that_cannot_be_reached_is_refused(tmp_path, sparsity, options, most):
    trainer = quiet_trainer(tmp_path, max_epochs=1)
    with pytest.raises(
        UsageError, match=f"final_sparsity {sparsity} cannot be reached. The highest .* is {most} "
    ):
        IterativePruning(OneShot(sparsity), **options).check(
            trainer, ViTClassifier(architecture={**TINY, "model_type": "vit"}), "fit"
        )
    IterativePruning(OneShot(float(most) + 0.004), **options).check(
        trainer, ViTClassifier(architecture={**TINY, "model_type": "vit"}), "fit"
    )


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
    other.load_state_dict(pruning.state_dict())  # as `validate` does, without a check
    assert other.state.finished


def test_layers_that_are_to_keep_everything_lower_what_can_be_reached(tmp_path):
    guarded = AccuracyGuarded(step=0.3, max_drop=9)
    sparsities = PerLayer({"first": 0.0, "second": 0.5})  # 128 and 64 weights
    fit(tmp_path, pruning := IterativePruning(guarded, allocation=sparsities, monitor="val/score"))
    assert [r.sparsity for r in pruning.state.rounds] == pytest.approx([0.3, 1 / 3], abs=0.01)
    assert masks.read(pruning.layers[0]).all()


def test_a_schedule_that_follows_the_metric_sets_out_from_what_is_zero(tmp_path):
    module = Regression()
    for layer in (module.first, module.second):
        layer.weight.data.view(-1)[::2] = 0
    pruning = IterativePruning(
        AccuracyGuarded(step=0.2, max_drop=9, max_sparsity=0.8), monitor="val/score"
    )
    fit(tmp_path, pruning, module)
    assert [r.sparsity for r in pruning.state.rounds] == pytest.approx([0.7, 0.8], abs=0.01)


def test_another_metric_is_another_setting():
    one, other = (
        IterativePruning(OneShot(0.5), monitor=monitor) for monitor in ("val/top5", "val/accuracy")
    )
    with pytest.raises(
        UsageError, match=r"pruning\.monitor: val/top5 in the checkpoint, val/accuracy now"
    ):
        other.load_state_dict(one.state_dict())


def test_rounds_are_monitored_without_a_validation_just_after_pruning(tmp_path, capsys):
    pruning = IterativePruning(
        Levels([0.25, 0.5]), monitor="val/score", validate_after_pruning=False
    )
    fit(tmp_path, pruning, max_epochs=2)
    assert pruning.state.dense["val/score"] < 0
    assert [r.pruned for r in pruning.state.rounds] == [None, None]
    assert None not in [r.finetuned for r in pruning.state.rounds]
    assert (
        f"reached 50.00%  val/score {pruning.state.rounds[1].finetuned:.4f} after fine-tuning\n"
        in capsys.readouterr().out
    )


def test_a_check_leaves_the_model_as_it_is(tmp_path):
    """Else it could not be sent to processes that are spawned."""
    module, pruning = Regression(), IterativePruning(OneShot(0.5), monitor=None)
    names = [name for name, _ in module.named_modules()]
    pruning.check(quiet_trainer(tmp_path, max_epochs=1), module, "fit")
    assert [name for name, _ in module.named_modules()] == names
    with pytest.raises(UsageError, match="max_epochs 1"):
        IterativePruning(OneShot(0.5, begin=1), monitor=None).check(
            quiet_trainer(tmp_path, max_epochs=1), module, "fit"
        )


def test_rounds_in_epochs(tmp_path):
    pruning = IterativePruning(Levels([0.25, 0.5, 0.75], begin=1), monitor="val/score")
    _, watch, _ = fit(tmp_path, pruning)
    assert watch.at("validation") == [0.0, 0.25, 0.5, 0.75, 0.75]
    assert watch.at("step") == [0.0] * 4 + [0.25] * 4 + [0.5] * 4 + [0.75] * 8
    assert [r.epoch for r in pruning.state.rounds] == [1, 2, 3]
    assert [r.sparsity for r in pruning.state.rounds] == [0.25, 0.5, 0.75]
    assert pruning.state.finished


def test_a_sparse_model_stays_as_sparse(tmp_path, capsys):
    """Neither before its first round nor by a round that asks for less do weights return, and the bias is no part of it."""
    module = Regression()
    with torch.no_grad():
        for layer in (module.first, module.second):
            layer.weight.view(-1)[::2] = 0
            layer.bias.zero_()
    zeros = module.first.weight == 0
    _, watch, _ = fit(
        tmp_path,
        IterativePruning(Levels([0.25, 0.75], begin=1, every=2), monitor=None),
        module,
    )
    assert watch.at("validation") == [0.5, 0.5, 0.5, 0.75, 0.75]
    assert watch.at("step") == [0.5] * 12 + [0.75] * 8
    assert watch.shown == [0.5] * 12 + [0.75] * 8
    assert not module.first.weight[zeros].any()
    assert module.first.bias.any()
    assert (
        "50.00% of the prunable weights are already zero and are masked" in capsys.readouterr().out
    )


def test_rounds_in_steps(tmp_path):
    pruning = IterativePruning(Linear(0.75, begin=3, end=9, every=3, unit="step"), monitor=None)
    _, watch, _ = fit(tmp_path, pruning, max_epochs=4)
    assert watch.at("step") == [0.0] * 3 + [0.25] * 3 + [0.5] * 3 + [0.75] * 7


def test_steps_are_optimizer_steps_when_gradients_accumulate(tmp_path):
    pruning = IterativePruning(OneShot(0.5, begin=3, unit="step"), monitor=None)
    _, watch, _ = fit(tmp_path, pruning, accumulate_grad_batches=2)
    assert watch.at("step") == [0.0] * 6 + [0.5] * 14


def test_the_recorded_metrics_are_those_of_the_weights(tmp_path):
    """Just after pruning: before any step at that sparsity. After fine-tuning: the last validation of the round."""
    pruning = IterativePruning(Levels([0.5, 0.75], begin=1, every=2), monitor="val/score")

    class Scores(Callback):
        validated: list = []

        def on_validation_epoch_end(self, trainer, pl_module):
            self.validated.append(float(trainer.callback_metrics["val/score"]))

    module, _, _ = fit(tmp_path, pruning, callbacks=[scores := Scores()])
    assert [r.finetuned for r in pruning.state.rounds] == [scores.validated[2], scores.validated[4]]
    assert pruning.state.rounds[0].pruned < scores.validated[0]
    torch.manual_seed(0)
    assert set(pruning.state.dense) == {"val/score"}
    trainer = quiet_trainer(tmp_path)
    assert trainer.validate(module, regression_loader(), verbose=False)[0][
        "val/score"
    ] == pytest.approx(pruning.state.rounds[-1].finetuned)


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


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": torch.optim.SGD, "momentum": 0.9, "weight_decay": 0.1},
        {"optimizer": torch.optim.AdamW, "weight_decay": 0.5},
    ],
)
@pytest.mark.parametrize(
    "trainer_options",
    [{}, {"gradient_clip_val": 0.1}, {"accumulate_grad_batches": 3}, {"precision": "bf16-mixed"}],
)
def test_masks_hold_through_training(tmp_path, options, trainer_options):
    pruning = IterativePruning(Cubic(0.7, end=2), monitor=None)
    _, watch, _ = fit(tmp_path, pruning, Regression(**options), **trainer_options)
    assert set(watch.at("step")[-8:]) == {round(round(0.7 * 192) / 192, 4)}


def test_masks_stay_on_after_training_and_come_off_on_request(tmp_path):
    module, _, _ = fit(tmp_path, IterativePruning(OneShot(0.5), monitor=None))
    assert masks.is_masked(module.first)
    masks.remove(module)
    assert type(module.first) is torch.nn.Linear
    assert (module.first.weight == 0).float().mean() == pytest.approx(0.5, abs=0.01)


def test_random_masks_depend_on_seed_round_and_name_alone(tmp_path):
    kept = []
    for disturb in (0, 17):
        module = Regression()
        torch.rand(disturb)
        fit(
            tmp_path,
            IterativePruning(Linear(0.6, end=2), Random(), monitor=None, seed=7),
            module,
        )
        kept.append(module.first.weight != 0)
    assert torch.equal(*kept)


def test_another_seed_gives_other_random_masks(tmp_path):
    kept = []
    for seed in (1, 2):
        module = Regression()
        fit(tmp_path, IterativePruning(OneShot(0.6), Random(), monitor=None, seed=seed), module)
        kept.append(module.first.weight != 0)
    assert not torch.equal(*kept)


def test_fit_validate_fit_again(tmp_path):
    pruning = IterativePruning(OneShot(0.5), monitor="val/score")
    module, _, trainer = fit(tmp_path, pruning)
    before = (module.first.weight != 0).clone()
    trainer.validate(module, regression_loader(), verbose=False)
    trainer.fit_loop.max_epochs = 7
    trainer.fit(module, regression_loader(), regression_loader())
    assert torch.equal(module.first.weight != 0, before)
    assert len(pruning.state.rounds) == 1


def test_one_callback_prunes_one_model_after_another(tmp_path):
    pruning = IterativePruning(OneShot(0.5), monitor=None)
    for _ in range(2):
        module, _, _ = fit(tmp_path, pruning, max_epochs=1)
        assert (module.first.weight == 0).float().mean() == pytest.approx(0.5, abs=0.01)


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


@pytest.mark.parametrize("when", [{}, {"update_every_n_steps": 9}, {"update_starting_at_step": 99}])
def test_a_moving_average_of_the_weights_is_as_sparse(tmp_path, when):
    """Also before its first update, and in between: it is what validation sees, and what training ends with."""
    seen = []

    class Seen(Regression):
        def validation_step(self, batch, batch_idx):
            if batch_idx == 0:
                seen.append(float((self.first.weight == 0).float().mean()))

    average = EMAWeightAveraging(decay=0.9, use_buffers=False, **when)
    module, _, _ = fit(
        tmp_path, IterativePruning(Levels([0.25, 0.5]), monitor=None), Seen(), callbacks=[average]
    )
    assert seen == [0.25, 0.5, 0.5, 0.5, 0.5]
    assert (module.first.weight == 0).float().mean() == 0.5


@pytest.mark.parametrize("order", [1, -1])
def test_an_average_that_would_blend_masks_or_have_none_is_refused(tmp_path, order):
    pruning = IterativePruning(OneShot(0.5), monitor=None)
    average = EMAWeightAveraging(decay=0.9, use_buffers=order == 1)
    trainer = quiet_trainer(tmp_path, callbacks=[pruning, average][::order], max_epochs=2)
    with pytest.raises(UsageError, match="use_buffers to False|must stand after"):
        trainer.fit(Regression(), regression_loader(), regression_loader())


@pytest.mark.parametrize(
    ("schedule", "options", "message"),
    [
        (Linear(0.5, end=5), {}, "max_epochs 5.*at least 6"),
        (OneShot(0.5, begin=9), {}, "max_epochs 5"),
        (Linear(0.5, end=20, every=1, unit="step"), {}, "after 20 steps"),
        (Linear(0.5, end=4), {"max_epochs": -1, "max_steps": 16}, "after 16 steps"),
        (AccuracyGuarded(), {"val_check_interval": 1}, "val_check_interval to 1.0"),
        (AccuracyGuarded(), {"val_check_interval": 2}, "decides after each epoch"),
        (
            Linear(0.5, end=10, every=1, unit="step"),
            {"accumulate_grad_batches": 2},
            "after 10 steps",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused_before_training(
    tmp_path, schedule, options, message
):
    module = Regression()
    before = module.first.weight.clone()
    with pytest.raises(UsageError, match=message):
        fit(tmp_path, IterativePruning(schedule, monitor="val/score"), module, **options)
    assert torch.equal(module.first.weight, before)


def test_a_metric_that_is_not_logged_is_refused_before_training(tmp_path):
    module = Regression()
    with pytest.raises(
        UsageError,
        match="'val/accuracy' is not among the metrics that validation logs. Valid are val/score",
    ):
        fit(tmp_path, IterativePruning(OneShot(0.5)), module)


def test_a_metric_of_several_validation_loaders_is_refused(tmp_path):
    trainer = quiet_trainer(
        tmp_path, callbacks=[IterativePruning(OneShot(0.5), monitor="val/score")], max_epochs=1
    )
    with pytest.raises(UsageError, match="needs one validation loader, and there are 2"):
        trainer.fit(Regression(), regression_loader(), [regression_loader(), regression_loader()])


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(8), torch.zeros(4)


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        (
            IterativePruning(Linear(0.5, end=100, every=10, unit="step"), monitor=None),
            "due before optimizer step 100.*after 5",
        ),
        (
            IterativePruning(OneShot(0.5), rewind=LearningRate(), monitor=None),
            "not known, so epochs cannot be counted",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_data_without_a_length_is_refused(tmp_path, pruning, message):
    trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=-1, max_steps=5)
    with pytest.raises(UsageError, match=message):
        trainer.fit(Regression(), DataLoader(Endless(), batch_size=4), regression_loader())


@pytest.mark.parametrize(
    ("sparsities", "total"), [({"first": 0.5, "*": 0.0}, "0.3333"), ({"*": 0.3}, "0.3000")]
)
def test_sparsities_by_layer_that_do_not_come_to_the_schedules_are_refused(
    tmp_path, sparsities, total
):
    with pytest.raises(
        UsageError,
        match=f"of PerLayer is {total}, but final_sparsity is 0.8",
    ):
        fit(tmp_path, IterativePruning(OneShot(0.8), allocation=PerLayer(sparsities), monitor=None))


def test_a_pattern_that_matches_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"matches no layer(.|\n)*first"):
        fit(tmp_path, IterativePruning(OneShot(0.5), layers=LayerSelection(names=["third"])))


@pytest.mark.parametrize(
    "granularity",
    [Neuron(uniform=True), Combined([Head(), Neuron(uniform=True)])],
    ids=["alone", "combined"],
)
def test_uniform_goes_with_every_block(tmp_path, granularity):
    """The shrunk model has one size for all layers, and a block that is left out keeps the old one."""
    pruning = IterativePruning(
        OneShot(0.5), granularity=granularity, layers=LayerSelection(skip_blocks=[0])
    )
    module = Regression()
    module.net = tiny_net()
    with pytest.raises(UsageError, match=r"leaves out the blocks \[0\].*uniform to false"):
        fit(tmp_path, pruning, module)


def test_without_validation_data_nothing_is_scored(tmp_path):
    class Blind(Regression):
        validation_step = LightningModule.validation_step

    pruning = IterativePruning(OneShot(0.5))
    trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=1)
    trainer.fit(Blind(), regression_loader())
    assert (pruning.state.rounds[0].pruned, pruning.state.rounds[0].sparsity) == (None, 0.5)
