"""Copies of a pruned module, and averages of its weights."""

import copy
import warnings

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.training.own_modules.modules import (
    HALVED,
    Call,
    Classifier,
    Sparsities,
    halving,
    have_the_same_parameters,
    mlp,
    weights,
    zeros,
)
from vitprune.pruning import LayerSelection, Magnitude, Masks, Method, prune


def test_a_copy_and_its_original_live_apart():
    net = mlp()
    prune(net, Method(Magnitude()), 0.5)
    masks = Masks(LayerSelection().select(net))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, weight_decay=0.1)
    masks.enforce(optimizer)
    twin = copy.deepcopy(net)
    before = copy.deepcopy(net)
    free = torch.optim.SGD(twin.parameters(), 0.1)
    twin(torch.ones(1, 16)).sum().backward()
    free.step()
    assert have_the_same_parameters(net, before)
    assert zeros(*weights(twin)) < 0.5  # a copy has no masks
    masks.remove()
    assert have_the_same_parameters(net, before)
    assert [type(layer) for layer in twin[::2]] == [nn.Linear] * 3


def test_the_best_net_is_kept_by_deepcopy(fit):
    class KeepsBest(Classifier):
        def on_validation_epoch_end(self):
            self.best = copy.deepcopy(self.net)

    module, pruning, watch = KeepsBest(), halving(), Sparsities(lambda module: weights(module.net))
    fit(module, pruning, watch)
    assert watch.seen == HALVED
    x = torch.ones(2, 16)
    logits = module.net(x)
    pruning.masks.remove()
    assert torch.equal(module.net(x), logits)
    assert torch.equal(module.best(x), logits)
    assert zeros(*weights(module.best)) == 0.5


def test_a_copy_of_the_module_in_training_is_pruned_and_trains_alone(fit):
    copies = []
    module = Classifier()
    fit(module, halving(), Call("on_train_end", lambda t, module: copies.append(module.net)))
    twin = copy.deepcopy(copies[0])
    nn.init.ones_(twin[0].weight)
    assert zeros(*weights(module.net)) == 0.5


def ema_of(history, decay):
    """Average as torch does: start at the first value, then decay."""
    mean = history[0].clone()
    for value in history[1:]:
        mean.lerp_(value, 1 - decay)
    return mean


@pytest.mark.parametrize("order", [1, -1], ids=["after", "before"])
@pytest.mark.parametrize("use_buffers", [False, True])
def test_lightning_s_average(fit, order, use_buffers):
    pruning = halving()
    average = EMAWeightAveraging(decay=0.9, use_buffers=use_buffers)
    history, validated = [], []

    class Watched(Classifier):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            history.append(self.net[2].weight.detach().clone())

        def validation_step(self, batch, batch_idx):
            validated.append(zeros(*weights(self)))

    module = Watched()
    fit(module, *[pruning, average][::order])
    assert validated == [0.25] * 4 + [0.5] * 8
    expected = ema_of(history, 0.9)
    keep = pruning.masks[module.net[2].weight]
    torch.testing.assert_close(module.net[2].weight[keep], expected[keep])
    assert zeros(*weights(module)) == 0.5


@pytest.mark.parametrize("order", [1, -1], ids=["after", "before"])
@pytest.mark.parametrize("start", [1, 2], ids=["before the last round", "after it"])
@pytest.mark.parametrize("normalised", [False, True], ids=["", "with BatchNorm"])
def test_stochastic_weight_averaging(fit, order, start, normalised):
    net = mlp()
    if normalised:  # has an additional epoch without optimizer steps
        net = nn.Sequential(net[0], nn.BatchNorm1d(32), *net[1:])
    averaging = StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=start)
    module, watch = Classifier(net), Sparsities()
    fit(module, *[halving(), averaging][::order], watch)
    assert watch.seen[:12] == HALVED
    assert zeros(*weights(module)) == 0.5


def test_stochastic_weight_averaging_of_a_module_that_calls_its_net_module(fit):
    class Wrapper(Classifier):
        def __init__(self) -> None:
            super().__init__(nn.Identity())
            self.module = mlp()

        def forward(self, x):
            return self.module(x)

    module = Wrapper()
    fit(module, halving(), StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=1))
    assert zeros(*weights(module)) == 0.5


def test_an_averaged_model_as_a_submodule(fit):
    """As in torch's tutorial: no optimizer has it, it is updated by hand and validated."""

    class Averaged(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
            self.average.requires_grad_(False)

        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.average.update_parameters(self.net)

        def validation_step(self, batch, batch_idx):
            validated.append(zeros(*weights(self.average)))

    validated = []
    module, watch = Averaged(), Sparsities(lambda module: weights(module.net))
    fit(module, halving(), watch)
    assert watch.seen == HALVED
    assert validated == [0.25] * 4 + [0.5] * 8
    assert zeros(*weights(module.average)) == 0.5


def test_an_averaged_model_beside_another_net_of_the_same_kind(fit):
    """An average of the student, though the teacher looks the same."""

    class Distilled(Classifier):
        def __init__(self) -> None:
            super().__init__()
            student = self.net
            del self.net
            self.teacher = mlp().requires_grad_(False)
            self.net = student
            self.average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(0.9))

        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.average.update_parameters(self.net)

        def configure_optimizers(self):
            return torch.optim.SGD(self.net.parameters(), 0.1)

    module = Distilled()
    fit(module, halving())
    assert zeros(*weights(module.net)) == zeros(*weights(module.average)) == 0.5
    assert zeros(*weights(module.teacher)) == 0


class Towers(Classifier):
    """Two nets of the same kind, of which one has an average."""

    def __init__(self, averaged) -> None:
        super().__init__(nn.Identity())
        self.a, self.b = mlp(), mlp()
        with torch.no_grad():
            for parameter in self.a.parameters():
                parameter.add_(0.1)
        self.average = AveragedModel(averaged(self), multi_avg_fn=get_ema_multi_avg_fn(0.9))

    def forward(self, x):
        return self.a(x) + self.b(x)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.average.update_parameters(self.b)

    def configure_optimizers(self):
        return torch.optim.SGD([*self.a.parameters(), *self.b.parameters()], 0.1)


@pytest.mark.parametrize("pruned", ["a", "b"])
def test_an_average_of_one_of_two_nets_that_are_trained(fit, pruned):
    module = Towers(lambda module: module.b)
    fit(module, halving(layers=LayerSelection(names=[f"{pruned}.*"])))
    assert zeros(*weights(module.get_submodule(pruned))) == 0.5
    assert zeros(*weights(module.average)) == (0.5 if pruned == "b" else 0)


def test_an_average_of_a_layer_among_others_of_its_class(fit):
    class OfALayer(Towers):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.average.update_parameters(self.b[2])

    module = OfALayer(lambda module: module.b[2])
    fit(module, halving(layers=LayerSelection(names=["b.2"])))
    assert zeros(*weights(module.average)) == zeros(module.b[2].weight) == 0.5


def test_an_average_that_is_no_submodule(fit):
    class Hidden(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.__dict__["average"] = AveragedModel(self.net)

        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.average.update_parameters(self.net)

    fit(module := Hidden(), halving())
    assert zeros(*weights(module.average)) == 0.5


def test_an_average_that_is_swapped_in_for_validation(fit):
    """Its pruned entries are zero in validation, and the weights are restored unchanged."""

    class Swaps(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.averages = [TimmAverage(self.net)]  # in a list, so it is not a submodule

        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.averages[0].update(self.net)

        def on_validation_epoch_start(self):
            self.kept = copy.deepcopy(self.net.state_dict())
            self.net.load_state_dict(self.averages[0].module.state_dict())

        def validation_step(self, batch, batch_idx):
            validated.append(zeros(*weights(self.net)))

        def on_validation_epoch_end(self):
            self.net.load_state_dict(self.kept)

    validated = []
    module, plain = Swaps(), Classifier()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*outside of an optimizer step")
        fit(module, halving())
    fit(plain, halving())
    assert validated == [0.25] * 4 + [0.5] * 8
    assert have_the_same_parameters(module.net, plain.net)


class TimmAverage(nn.Module):
    """timm's ModelEmaV2: a copy whose state dict follows that of the model."""

    def __init__(self, model, decay=0.9):
        super().__init__()
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model):
        ours, theirs = self.module.state_dict(), model.state_dict()
        for mean, value in zip(ours.values(), theirs.values(), strict=True):
            mean.copy_(self.decay * mean + (1 - self.decay) * value)


@pytest.mark.parametrize("held_by", ["module", "callback"])
def test_the_average_of_timm(fit, held_by):
    """Its pruned entries are zero from the round on."""
    watch = Sparsities(lambda module: weights(average.module))
    module, average = Classifier(), TimmAverage(mlp())
    update = Call("on_train_batch_end", lambda trainer, module: average.update(module.net))
    holder = module if held_by == "module" else update
    holder.average = average
    fit(module, halving(), update, watch)
    assert watch.seen == HALVED


def test_an_average_by_hand_that_starts_when_the_masks_are_final(fit):
    class Averaging(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.average = None

        def on_train_epoch_start(self):
            if self.current_epoch == 2:
                self.average = TimmAverage(self.net)

        def on_train_batch_end(self, outputs, batch, batch_idx):
            if self.average:
                self.average.update(self.net)

    module = Averaging()
    fit(module, halving())
    assert zeros(*weights(module.average.module)) == 0.5
    assert zeros(*weights(module.net)) == 0.5


def test_an_average_by_hand_of_all_steps_is_masked_by_hand(fit):
    module, pruning, average = Classifier(), halving(), TimmAverage(mlp())
    fit(module, pruning, Call("on_train_batch_end", lambda t, module: average.update(module.net)))
    for parameter, mean in zip(module.net.parameters(), average.module.parameters(), strict=True):
        if parameter in pruning.masks:
            mean.data *= pruning.masks[parameter]
    assert zeros(*weights(average.module)) == 0.5
    assert zeros(*weights(module.net)) == 0.5
