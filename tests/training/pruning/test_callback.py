"""When it prunes, and that the masks hold."""

import pytest
import torch
from lightning import Callback

from tests.conftest import Regression, quiet_trainer, regression_loader
from tests.training.pruning.runs import fit, fit_and_look
from vitprune.errors import UsageError
from vitprune.pruning import (
    AccuracyGuarded,
    Cubic,
    IterativePruning,
    LayerSelection,
    Levels,
    Linear,
    OneShot,
    Random,
    Weights,
)


def test_a_check_leaves_the_model_as_it_is(tmp_path):
    """Else it could not be sent to processes that are spawned."""
    module, pruning = Regression(), IterativePruning(OneShot(0.5), monitor=None)
    names = [name for name, _ in module.named_modules()]
    pruning.check(quiet_trainer(tmp_path, max_epochs=1), module)
    assert [name for name, _ in module.named_modules()] == names
    with pytest.raises(UsageError, match="max_epochs 1"):
        IterativePruning(OneShot(0.5, begin=1), monitor=None).check(
            quiet_trainer(tmp_path, max_epochs=1), module
        )


def test_rounds_in_epochs(tmp_path):
    pruning = IterativePruning(Levels([0.25, 0.5, 0.75], begin=1), monitor="val/score")
    _, watch, _ = fit(tmp_path, pruning)
    assert watch.at("validation") == [0.0, 0.25, 0.5, 0.75, 0.75]
    assert watch.at("step") == [0.0] * 4 + [0.25] * 4 + [0.5] * 4 + [0.75] * 8
    assert [r.epoch for r in pruning.state.rounds] == [1, 2, 3]
    assert [r.sparsity for r in pruning.state.rounds] == [0.25, 0.5, 0.75]
    assert pruning.state.finished


def test_rounds_in_steps(tmp_path):
    pruning = IterativePruning(Linear(0.75, begin=3, end=9, every=3, unit="step"), monitor=None)
    _, watch, _ = fit(tmp_path, pruning, max_epochs=4)
    assert watch.at("step") == [0.0] * 3 + [0.25] * 3 + [0.5] * 3 + [0.75] * 7


def test_steps_are_optimizer_steps_when_gradients_accumulate(tmp_path):
    pruning = IterativePruning(OneShot(0.5, begin=3, unit="step"), monitor=None)
    _, watch, _ = fit(tmp_path, pruning, accumulate_grad_batches=2)
    assert watch.at("step") == [0.0] * 6 + [0.5] * 14


def test_the_recorded_metrics_are_those_of_the_weights(tmp_path):
    """Just after pruning is before any step; after fine-tuning is the round's last validation."""
    pruning = IterativePruning(Levels([0.5, 0.75], begin=1, every=2), monitor="val/score")

    class Scores(Callback):
        def __init__(self):
            self.validated = []

        def on_validation_epoch_end(self, trainer, pl_module):
            self.validated.append(float(trainer.callback_metrics["val/score"]))

    module, _, _ = fit(tmp_path, pruning, callbacks=[scores := Scores()])
    assert [r.finetuned for r in pruning.state.rounds] == [scores.validated[2], scores.validated[4]]
    assert pruning.state.rounds[0].pruned < scores.validated[0]
    assert set(pruning.state.dense) == {"val/score"}
    torch.manual_seed(0)
    trainer = quiet_trainer(tmp_path)
    assert trainer.validate(module, regression_loader(), verbose=False)[0][
        "val/score"
    ] == pytest.approx(pruning.state.rounds[-1].finetuned)


def test_rounds_are_monitored_without_a_validation_just_after_pruning(tmp_path, capsys):
    pruning = IterativePruning(
        Levels([0.25, 0.5]), monitor="val/score", validate_after_pruning=False
    )
    fit(tmp_path, pruning, max_epochs=2)
    assert pruning.state.dense["val/score"] < 0
    assert [r.pruned for r in pruning.state.rounds] == [None, None]
    assert None not in [r.finetuned for r in pruning.state.rounds]
    assert (
        f"sparsity 50.00% val/score {pruning.state.rounds[1].finetuned:.4f} after fine-tuning\n"
        in capsys.readouterr().out
    )


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
    pruning = IterativePruning(OneShot(0.5), monitor=None)
    module, _, _ = fit(tmp_path, pruning)
    for held in (True, False):
        if not held:
            pruning.masks.remove()
        assert (module.first.weight == 0).float().mean() == pytest.approx(0.5, abs=0.01)
        module.first(torch.ones(1, 8)).sum().backward()
        assert module.first.weight.grad.eq(0).any() == held
        module.zero_grad()


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


@pytest.mark.parametrize(
    "build", [lambda: {"rewind": Weights(0)}, lambda: {"schedule": AccuracyGuarded(step=0.3)}]
)
def test_a_callback_forgets_the_model_before(tmp_path, build):
    pruning = IterativePruning(
        **{"schedule": OneShot(0.5, begin=1), "monitor": "val/score", **build()}
    )
    fit_and_look(tmp_path, pruning, max_epochs=2)
    first = [round.sparsity for round in pruning.state.rounds]
    module = Regression(lr=0.0)
    start = module.first.bias.detach().clone()
    fit_and_look(tmp_path, pruning, module, max_epochs=2)
    assert pruning.state.rounds[0].sparsity == first[0]
    assert torch.equal(module.first.bias, start)


def test_a_pattern_that_matches_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"matches no layer(.|\n)*first"):
        fit(tmp_path, IterativePruning(OneShot(0.5), layers=LayerSelection(names=["third"])))
