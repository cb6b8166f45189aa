"""Checkpoints load like those of a dense module, and a resume is exact."""

import contextlib
import copy
from pathlib import Path

import pytest
import torch
from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from tests.conftest import quiet_trainer
from tests.pruning.axes import name
from tests.training.own_modules.modules import (
    HALVED,
    Call,
    Classifier,
    Sparsities,
    batches,
    halving,
    have_the_same_parameters,
    mlp,
    weights,
    zeros,
)
from vitprune.errors import UsageError
from vitprune.pruning import (
    IterativePruning,
    LayerSelection,
    Linear,
    Magnitude,
    Movement,
    OneShot,
    Random,
    RigL,
)


class Hyperparameters(Classifier):
    """A module with hyperparameters of every kind."""

    def __init__(self, options: dict, folder: Path, net: nn.Module, lr: float = 1e-2) -> None:
        super().__init__(net, lr)
        self.save_hyperparameters(ignore=["net"])
        self.options = options
        self.folder = folder


@pytest.fixture
def saved(fit, tmp_path):
    """Return a pruned module and the path of its checkpoint."""
    module, path = Classifier(), tmp_path / "pruned.ckpt"
    fit(module, halving()).save_checkpoint(path)
    return module, path


def test_the_state_dict_is_that_of_a_dense_module(saved):
    module, path = saved
    checkpoint = torch.load(path, weights_only=True)
    assert list(checkpoint["state_dict"]) == list(Classifier().state_dict())
    assert len(checkpoint["pruning"]) == 1
    dense = Classifier()
    dense.load_state_dict(checkpoint["state_dict"])
    assert have_the_same_parameters(dense, module)


def test_load_from_checkpoint(saved):
    module, path = saved
    assert have_the_same_parameters(Classifier.load_from_checkpoint(path), module)


def test_a_step_that_fails_leaves_and_saves_zeros(fit, tmp_path):
    """Movement has put dense values in their place by then."""

    class Failing(torch.optim.SGD):
        def step(self, closure=None):
            closure()
            if module.trainer.global_step == 6:
                raise RuntimeError("no step")
            return super().step()

    class Module(Classifier):
        def configure_optimizers(self):
            return Failing(self.parameters(), 0.1)

    module = Module()
    saving = ModelCheckpoint(tmp_path, "failed", save_on_exception=True, every_n_epochs=9)
    pruning = IterativePruning(OneShot(0.5, begin=1), Movement(), monitor=None)
    with pytest.raises(RuntimeError, match="no step"):
        fit(module, pruning, saving, enable_checkpointing=True)
    assert zeros(*weights(module)) == 0.5
    loaded = Module.load_from_checkpoint(tmp_path / "failed.ckpt")
    assert have_the_same_parameters(loaded, module)


@pytest.mark.parametrize("pruned", [True, False])
def test_hyperparameters_of_any_kind(fit, tmp_path, pruned):
    path = tmp_path / "h.ckpt"
    module = Hyperparameters({"a": [1, 2]}, Path("data"), mlp())
    fit(module, *([halving()] if pruned else [])).save_checkpoint(path)
    # Lightning itself reads a Path only where the file is trusted
    loaded = Hyperparameters.load_from_checkpoint(path, net=mlp(), weights_only=False)
    assert have_the_same_parameters(loaded, module)
    assert (loaded.options, loaded.folder) == ({"a": [1, 2]}, Path("data"))


@pytest.mark.parametrize("callbacks", [lambda: [], lambda: [halving()]], ids=["without", "with"])
def test_a_checkpoint_is_tested_with_and_without_the_callback(saved, tmp_path, callbacks):
    module, path = saved
    expected = quiet_trainer(tmp_path).test(module, batches(seed=2), verbose=False)
    trainer = quiet_trainer(tmp_path, callbacks=callbacks())
    other = Classifier(nn.Sequential(*[copy.deepcopy(layer) for layer in mlp()]))
    for method in (trainer.test, trainer.validate):
        method(other, batches(seed=2), ckpt_path=path, verbose=False)
    assert trainer.test(other, batches(seed=2), ckpt_path=path, verbose=False) == expected
    assert have_the_same_parameters(other, module)


def test_a_dense_checkpoint_is_resumed_under_the_callback(fit, tmp_path):
    """Training continues from its weights, and rounds that are due are pruned."""

    class WithoutStrictness(Classifier):
        strict_loading = False  # other keys would not be an error

    dense, path = WithoutStrictness(), tmp_path / "dense.ckpt"
    fit(dense).save_checkpoint(path)
    module = WithoutStrictness(mlp().apply(_reset))
    starts = []
    keep = Call("on_train_start", lambda t, module: starts.append(copy.deepcopy(module.net)))
    watch, pruning = Sparsities(), halving()
    fit(module, keep, pruning, watch, ckpt_path=path, max_epochs=5)
    assert have_the_same_parameters(starts[0], dense.net)
    assert watch.seen == [0.5] * 8
    assert pruning.state.finished


def _reset(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear):
        layer.reset_parameters()


def test_a_pruned_checkpoint_is_resumed_without_the_callback(saved, fit):
    """It resumes like any other checkpoint: without masks, and without a warning."""
    pruned, path = saved
    starts = []
    keep = Call("on_train_start", lambda t, module: starts.append(copy.deepcopy(module.net)))
    module, watch = Classifier(), Sparsities()
    fit(module, keep, watch, ckpt_path=path, max_epochs=5)
    assert have_the_same_parameters(starts[0], pruned.net)
    assert len(watch.seen) == 8
    assert watch.seen[-1] < 0.1


def test_a_pruned_checkpoint_starts_a_new_run(saved, fit):
    """Its zeros are pruned, and a new schedule adds to them."""
    pruned, path = saved
    module = Classifier.load_from_checkpoint(path)
    before = [weight == 0 for weight in weights(module)]
    watch = Sparsities()
    fit(module, halving(), watch)
    assert watch.seen == [0.5] * 12
    for weight, old in zip(weights(module), before, strict=True):
        assert torch.equal(weight == 0, old)


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        ({"layers": LayerSelection(exclude=["net.2"])}, r"pruning\.layers\.exclude"),
        ({"regrow": RigL()}, r"pruning\.regrow"),
    ],
    ids=["layers", "regrow"],
)
def test_other_settings_are_refused_in_one_line(saved, fit, difference, message):
    _, path = saved
    with pytest.raises(UsageError, match=message) as error:
        fit(Classifier(), halving(**difference), ckpt_path=path, max_epochs=4)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("criterion", [Magnitude(), Random()], ids=name)
def test_another_seed_matters_where_it_is_used(fit, tmp_path, criterion):
    def pruning(seed):
        return IterativePruning(Linear(0.5, end=1), criterion, monitor=None, seed=seed)

    fit(Classifier(), pruning(1)).save_checkpoint(tmp_path / "one.ckpt")
    resumed = contextlib.nullcontext()
    if isinstance(criterion, Random):
        resumed = pytest.raises(UsageError, match=r"pruning\.seed: 1 in the checkpoint, 2 now")
    with resumed:
        fit(Classifier(), pruning(2), ckpt_path=tmp_path / "one.ckpt", max_epochs=4)


def test_a_dense_checkpoint_says_that_several_rounds_are_due_at_once(fit, tmp_path, said):
    fit(Classifier()).save_checkpoint(tmp_path / "dense.ckpt")
    text = said(
        lambda: fit(Classifier(), halving(), ckpt_path=tmp_path / "dense.ckpt", max_epochs=5)
    )
    assert "rounds 1 to 2 are due; pruning to round 2" in text


def test_a_checkpoint_with_masks_among_its_weights_is_refused_in_one_line(saved, fit, tmp_path):
    """As vitprune 0.1 saved them."""
    _, path = saved
    checkpoint = torch.load(path, weights_only=True)
    weight = checkpoint["state_dict"].pop("net.0.weight")
    checkpoint["state_dict"] |= {
        "net.0.parametrizations.weight.original": weight,
        "net.0.parametrizations.weight.0.keep": weight != 0,
    }
    torch.save(checkpoint, tmp_path / "old.ckpt")
    with pytest.raises(UsageError, match=r"earlier version of vitprune.*start a new run") as error:
        fit(Classifier(), halving(), ckpt_path=tmp_path / "old.ckpt")
    assert "\n" not in str(error.value)


def test_another_module_is_refused_in_one_line(saved, fit):
    _, path = saved
    net = mlp()
    other = Classifier(nn.Sequential(*net[:2], nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 4)))
    with pytest.raises((UsageError, RuntimeError), match=r"net\.2\.weight"):
        fit(other, halving(), ckpt_path=path, max_epochs=4)


class SaveAt(Callback):
    """Save a checkpoint after an optimizer step."""

    def __init__(self, step: int, path: Path) -> None:
        self.step = step
        self.path = path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def every_batch_the_same():
    """Return four equal batches: Lightning begins again with the first one within an epoch."""
    examples = list(batches(8).dataset)
    return torch.utils.data.DataLoader(examples * 4, batch_size=8)


within_an_epoch = pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended")


RESUMED = {
    "magnitude": dict,
    "Movement": lambda: {"criterion": Movement()},
    "regrowing": lambda: {"regrow": RigL(), "calibration_images": 8},
}


@within_an_epoch
@pytest.mark.parametrize("step", [2, 4, 6, 8, 11])
@pytest.mark.parametrize("kind", RESUMED)
def test_a_resume_is_exact_also_within_an_epoch(fit, tmp_path, step, kind):
    whole, resumed = Classifier(), Classifier()
    path, loader = tmp_path / "step.ckpt", every_batch_the_same()

    def pruning():
        options = RESUMED[kind]()
        return late_halving(**options) if kind == "Movement" else halving(**options)

    first, second = pruning(), pruning()
    fit(whole, first, SaveAt(step, path), loader=loader)
    fit(resumed, second, loader=loader, ckpt_path=path)
    assert have_the_same_parameters(whole, resumed)
    assert first.state.rounds == second.state.rounds
    for ours, theirs in zip(weights(whole), weights(resumed), strict=True):
        assert torch.equal(first.masks[ours], second.masks[theirs])
    assert zeros(*weights(resumed)) == 0.5


def late_halving(**options):
    """Prune twice like `halving`, but not before the first step."""
    from vitprune.pruning import IterativePruning, Linear

    schedule = Linear(0.5, begin=3, end=7, every=4, unit="step")
    return IterativePruning(schedule, **{"monitor": None, **options})


@within_an_epoch
def test_a_checkpoint_of_an_average_is_resumed(fit, tmp_path):
    """Lightning stores the average as the state dict and the weights beside it."""
    from lightning.pytorch.callbacks import EMAWeightAveraging

    def averaged():
        return [halving(), EMAWeightAveraging(decay=0.9)]

    whole, resumed, path = Classifier(), Classifier(), tmp_path / "average.ckpt"
    loader = every_batch_the_same()
    fit(whole, *averaged(), SaveAt(6, path), loader=loader)
    fit(resumed, *averaged(), loader=loader, ckpt_path=path)
    assert have_the_same_parameters(whole, resumed)
    assert zeros(*weights(Classifier.load_from_checkpoint(path))) == 0.5


def test_k_folds_with_one_trainer_each(fit):
    """Each fold has its own callback, module and trainer, which share no state."""
    one = Classifier()
    fit(one, halving())
    for _ in range(2):
        module, watch = Classifier(), Sparsities()
        fit(module, halving(), watch)
        assert watch.seen == HALVED
        assert have_the_same_parameters(module, one)
