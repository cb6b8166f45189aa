"""Layers and weights that are there only when training begins."""

import pytest
import torch
from torch import nn

from tests.training.own_modules.modules import (
    CLASSES,
    FEATURES,
    HALVED,
    WIDTH,
    Call,
    Classifier,
    Sparsities,
    halving,
    mlp,
    weights,
    zeros,
)
from vitprune.errors import UsageError
from vitprune.pruning import IterativePruning, OneShot


class HeadInSetup(Classifier):
    """Add the classifier when the number of classes is known."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(FEATURES, WIDTH))

    def setup(self, stage):
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        return self.head(self.net(x))


class ConfiguredModel(Classifier):
    """Build everything in `configure_model`, as Lightning asks for large models."""

    def __init__(self) -> None:
        super().__init__(nn.Identity())

    def configure_model(self):
        if isinstance(self.net, nn.Identity):
            self.net = mlp()


@pytest.mark.parametrize("build", [HeadInSetup, ConfiguredModel])
def test_layers_built_in_hooks_are_pruned(fit, build):
    module, pruning, watch = build(), halving(), Sparsities()
    fit(module, pruning, watch)
    assert watch.seen == HALVED
    assert {zeros(weight) for weight in weights(module)} == {0.5}
    assert pruning.state.sparsity == 0.5


def lazy_net() -> nn.Sequential:
    return nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(CLASSES))


@pytest.mark.filterwarnings("ignore:.*contains.*uninitialized parameters")
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_lazy_layers_are_refused_by_name(fit):
    with pytest.raises(UsageError, match=r"net\.0"):
        fit(Classifier(lazy_net()), halving())


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_lazy_layers_with_shapes_are_pruned(fit):
    class Shaped(Classifier):
        def setup(self, stage):
            self(torch.zeros(1, FEATURES))

    watch = Sparsities()
    fit(Shaped(lazy_net()), halving(), watch)
    assert watch.seen == HALVED


@pytest.mark.parametrize("hook", ["setup", "on_fit_start"])
def test_weights_loaded_in_a_hook_are_the_ones_that_are_pruned(fit, hook):
    pretrained = mlp().requires_grad_(False)
    pretrained[2].weight[:, : WIDTH // 4] = 0  # a sparse one

    class Loads(Classifier):
        def on_train_batch_start(self, batch, batch_idx):
            if not self.trainer.global_step:
                start.update({name: p.detach().clone() for name, p in self.named_parameters()})

    def load(self, **_):
        self.net.load_state_dict(pretrained.state_dict())

    setattr(Loads, hook, load)
    start = {}
    module = Loads(nn.Sequential(*[type(layer)(*_sizes(layer)) for layer in mlp()]))
    pruning, watch = IterativePruning(OneShot(0.5, begin=1), monitor=None), Sparsities()
    fit(module, pruning, watch)
    for name, parameter in pretrained.named_parameters():
        assert torch.equal(start[f"net.{name}"], parameter)
    share = zeros(*weights(pretrained))
    assert watch.seen == [share] * 4 + [0.5] * 8
    assert zeros(module.net[2].weight[:, : WIDTH // 4]) == 1
    assert pruning.state.dense_sparsity == share


def test_a_new_layer_that_starts_at_zero_is_not_pruned_already(fit, said):
    """As the heads of fine-tuning recipes and the second factor of adapters."""
    module, pruning, watch = Classifier(), halving(), Sparsities()
    nn.init.zeros_(module.net[4].weight)
    text = said(lambda: fit(module, pruning, watch))
    assert watch.seen == pytest.approx(HALVED, abs=0.01)  # some gradients are zero
    assert "already zero" not in text
    assert pruning.state.sparsity == 0.5


def _sizes(layer: nn.Module) -> tuple[int, ...]:
    return (layer.in_features, layer.out_features) if isinstance(layer, nn.Linear) else ()


def test_a_layer_that_is_replaced_before_training_is_not_missed(fit):
    """Fine-tuning with a new head, made by a callback of one's own."""

    def new_head(trainer, module):
        module.net[4] = nn.Linear(WIDTH, CLASSES)

    class Late(Classifier):
        def configure_optimizers(self):
            assert self.net[4] is not first_head
            return super().configure_optimizers()

    module, watch = Late(), Sparsities()
    first_head = module.net[4]
    fit(module, halving(), Call("setup", new_head), watch)
    assert watch.seen == HALVED
    assert zeros(module.net[4].weight) == 0.5
