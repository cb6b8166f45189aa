"""Only parameters that an optimizer trains are pruned, unless they are named."""

import pytest
import torch
from lightning.pytorch.callbacks import BackboneFinetuning
from torch import nn

from tests.training.own_modules.modules import (
    HALVED,
    WIDTH,
    Classifier,
    Sparsities,
    halving,
    have_the_same_parameters,
    mlp,
    weights,
    zeros,
)
from vitprune.errors import UsageError
from vitprune.pruning import IterativePruning, LayerSelection, Movement, OneShot


class Student(Classifier):
    """A student, and a teacher that requires gradients but belongs to no optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = mlp()

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        with torch.no_grad():
            target = self.teacher(batch[0])
        return loss + nn.functional.mse_loss(self(batch[0]), target)

    def configure_optimizers(self):
        return torch.optim.SGD(self.net.parameters(), 0.1)


def test_a_teacher_that_no_optimizer_has(fit):
    module, pruning = Student(), halving()
    fit(module, pruning)
    assert have_the_same_parameters(module.teacher, mlp())
    assert zeros(*weights(module.net)) == 0.5
    assert pruning.state.sparsity == 0.5
    assert [layer.name for layer in pruning.masks.layers] == ["net.0", "net.2", "net.4"]


def test_a_teacher_that_is_named(fit):
    module = Student()
    fit(module, halving(layers=LayerSelection(names=["teacher.*"])))
    assert zeros(*weights(module.teacher)) == 0.5
    assert zeros(*weights(module.net)) == 0


def test_movement_of_a_weight_that_is_not_trained_is_refused_by_name(fit):
    pruning = IterativePruning(
        OneShot(0.5, begin=1),
        Movement(),
        layers=LayerSelection(names=["teacher.0", "net.0"]),
        monitor=None,
    )
    with pytest.raises(UsageError, match=r"teacher.0 is not trained \(no optimizer trains it\)"):
        fit(Student(), pruning)


def test_an_optimizer_of_nothing_prunable_is_refused_by_name(fit):
    class Biases(Classifier):
        def configure_optimizers(self):
            biases = [p for name, p in self.named_parameters() if name.endswith("bias")]
            return torch.optim.SGD(biases, 0.1)

    with pytest.raises(UsageError, match=r"net\.0"):
        fit(Biases(), halving())


@pytest.mark.parametrize("hook", ["__init__", "setup", "on_fit_start"])
def test_modules_frozen_in_a_hook_stay_dense(fit, hook):
    class Freezes(Classifier):
        pass

    def freeze(self, **arguments):
        getattr(super(Freezes, self), hook)(**arguments)
        self.net[0].requires_grad_(False)

    setattr(Freezes, hook, freeze)
    module, pruning = Freezes(), halving()
    fit(module, pruning)
    assert torch.equal(module.net[0].weight, mlp()[0].weight)
    assert zeros(*weights(module.net[2:])) == 0.5
    assert pruning.state.sparsity == 0.5


class Backbone(Classifier):
    """A backbone, which is frozen first, and a head."""

    def __init__(self) -> None:
        super().__init__(nn.Identity())
        net = mlp()
        self.backbone = net[:4]
        self.head = net[4]

    def forward(self, x):
        return self.head(self.backbone(x))

    def configure_optimizers(self):
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(trained, 1e-2, weight_decay=0.1)


def in_order(order, pruning):
    unfreezes = BackboneFinetuning(unfreeze_backbone_at_epoch=1, backbone_initial_lr=1e-2)
    return [pruning, unfreezes][::order]


@pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])
def test_a_backbone_that_is_frozen_when_training_begins(fit, order):
    module, pruning = Backbone(), halving()
    watch = Sparsities(lambda module: [module.head.weight])
    fit(module, *in_order(order, pruning), watch)
    assert watch.seen == HALVED
    assert zeros(*weights(module.backbone)) == 0
    assert not torch.equal(module.backbone[0].weight, mlp()[0].weight)  # it was trained later
    assert [layer.name for layer in pruning.masks.layers] == ["head"]


@pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])
def test_a_frozen_backbone_that_is_named_stays_sparse_when_it_is_trained(fit, order):
    gradients = []

    class Watched(Backbone):
        def on_before_optimizer_step(self, optimizer):
            gradient = self.backbone[2].weight.grad
            if gradient is not None:
                pruned = ~pruning.masks[self.backbone[2].weight]
                gradients.append(float(gradient[pruned].abs().max()))

    module, watch = Watched(), Sparsities()
    pruning = halving(layers=LayerSelection(names=["*"]))
    fit(module, *in_order(order, pruning), watch)
    assert watch.seen == HALVED
    assert not torch.equal(module.backbone[0].weight, mlp()[0].weight)
    assert gradients == [0.0] * 8  # those of the epochs in which it is trained
    assert zeros(module.backbone[2].weight) == 0.5
    assert module.backbone[2].weight.shape == (WIDTH, WIDTH)


def test_a_resume_prunes_the_layers_of_its_checkpoint_though_others_are_trained_by_now(
    fit, tmp_path
):
    trainer = fit(Backbone(), *in_order(1, halving()), max_epochs=2)  # it is unfrozen in the second
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    module, pruning = Backbone(), halving()
    fit(module, *in_order(1, pruning), ckpt_path=tmp_path / "two.ckpt")
    assert [layer.name for layer in pruning.masks.layers] == ["head"]
    assert zeros(module.head.weight) == 0.5
    assert zeros(*weights(module.backbone)) == 0
