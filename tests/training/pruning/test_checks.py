"""What cannot work is refused before training."""

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from tests.conftest import TINY, Regression, quiet_trainer, regression_loader, tiny_net
from tests.training.pruning.runs import fit
from tests.training.pruning.test_costs import Classifier, images
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.pruning import (
    AccuracyGuarded,
    Combined,
    Head,
    IterativePruning,
    LayerSelection,
    LearningRate,
    Levels,
    Linear,
    Neuron,
    NofM,
    OneShot,
    PerLayer,
    RigL,
    Row,
    Uniform,
    Width,
)


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
        UsageError, match=f"sparsity {sparsity} cannot be reached. The highest .* is {most} "
    ):
        IterativePruning(OneShot(sparsity), **options).check(
            trainer, ViTClassifier(architecture={**TINY, "model_type": "vit"})
        )
    IterativePruning(OneShot(float(most) + 0.004), **options).check(
        trainer, ViTClassifier(architecture={**TINY, "model_type": "vit"})
    )


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
        match=f"of PerLayer is {total}, but the target sparsity is 0.8",
    ):
        fit(tmp_path, IterativePruning(OneShot(0.8), allocation=PerLayer(sparsities), monitor=None))


@pytest.mark.parametrize(
    "granularity",
    [Neuron(loadable=True), Combined([Head(), Neuron(loadable=True)])],
    ids=["alone", "combined"],
)
def test_loadable_goes_with_every_block(tmp_path, granularity):
    """The shrunk model has one size for all layers; an omitted block keeps the old one."""
    pruning = IterativePruning(
        OneShot(0.5), granularity=granularity, layers=LayerSelection(skip_blocks=[0])
    )
    module = Regression()
    module.net = tiny_net()
    with pytest.raises(UsageError, match=r"leaves out the blocks \[0\].*loadable to false"):
        fit(tmp_path, pruning, module)


def test_groups_too_few_to_exchange_are_refused(tmp_path):
    """There are 16, in rounds of cos(pi / 2) and cos(pi)."""
    few = IterativePruning(Levels([0.5, 0.5]), granularity=Row(), regrow=RigL(0.05), monitor=None)
    with pytest.raises(
        UsageError,
        match="at most 1.2% of a layer's groups, and these layers have at most 16 groups",
    ):
        fit(tmp_path, few)


def test_groups_that_do_not_stand_alone_are_refused(tmp_path):
    with pytest.raises(UsageError, match="pruned independently"):
        fit(
            tmp_path,
            IterativePruning(Levels([0.5, 0.5]), granularity=NofM(2, 4), regrow=RigL()),
        )


def test_groups_of_several_layers_cannot_regrow(tmp_path):
    model = ViTClassifier("digits", labels=[str(d) for d in range(10)])
    pruning = IterativePruning(
        Levels([0.5, 0.5]), granularity=Neuron(), regrow=RigL(), monitor=None
    )
    with pytest.raises(UsageError, match="groups of a single layer"):
        pruning.check(quiet_trainer(tmp_path, max_epochs=3), model)


def test_two_callbacks_do_not_prune_the_same_channels(tmp_path):
    """The embeddings follow the channels, without being selected."""
    channels = IterativePruning(OneShot(0.25), granularity=Width(), monitor=None)
    embeddings = LayerSelection(roles=["patch_embed"])
    other = IterativePruning(OneShot(0.5), layers=embeddings, monitor=None)
    trainer = quiet_trainer(tmp_path, callbacks=[channels, other], max_epochs=1)
    with pytest.raises(UsageError, match=r"two pruning callbacks prune .*patch_embeddings"):
        trainer.fit(Classifier(), images(), images())
