"""The user's optimizer sees the parameters that it would see without the callback."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

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
from vitprune.errors import UsageError
from vitprune.pruning import IterativePruning, Movement, OneShot

SGD = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}
OPTIMIZERS = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, **SGD),
    "SGD, one by one": lambda parameters: torch.optim.SGD(parameters, **SGD, foreach=False),
    "Adam": lambda parameters: torch.optim.Adam(parameters, 1e-2, weight_decay=0.1, amsgrad=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, 1e-2, weight_decay=0.1),
    "AdamW, fused": lambda parameters: torch.optim.AdamW(parameters, 1e-2, fused=True),
    "RMSprop": lambda parameters: torch.optim.RMSprop(parameters, 1e-3, momentum=0.9),
    "Adagrad": lambda parameters: torch.optim.Adagrad(parameters, 1e-2),
    "LBFGS": lambda parameters: torch.optim.LBFGS(parameters, 0.1, max_iter=3),
}
OPTIONS = [{}, {"gradient_clip_val": 0.05}, {"accumulate_grad_batches": 2}]
TRAININGS = [
    (name, options) for name in OPTIMIZERS for options in OPTIONS if name != "LBFGS" or not options
]


class With(Classifier):
    """A classifier with an optimizer of choice."""

    def __init__(self, optimizer) -> None:
        super().__init__()
        self.optimizer = optimizer

    def configure_optimizers(self):
        return self.optimizer(self.parameters())


class PrunedByTorch(With):
    """The same with half of its weights pruned by `torch.nn.utils.prune`, by magnitude."""

    def on_train_start(
        self,
    ):  # after the optimizer was created, so its parameters are in the usual order
        for layer in self.net[::2]:
            prune.l1_unstructured(layer, "weight", 0.5)


@pytest.mark.parametrize(("name", "options"), TRAININGS, ids=str)
def test_weights_are_those_of_masks_by_torch(fit, name, options):
    ours = With(OPTIMIZERS[name])
    theirs = PrunedByTorch(OPTIMIZERS[name])
    fit(ours, IterativePruning(OneShot(0.5), monitor=None), **options)
    fit(theirs, **options)
    for our, their in zip(ours.net[::2], theirs.net[::2], strict=True):
        assert zeros(our.weight) == 0.5
        torch.testing.assert_close(our.weight, their.weight, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(our.bias, their.bias, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_callback_alone_changes_nothing(fit, name):
    """At sparsity 0 the weights are those of a training without it, bit for bit."""
    ours = With(OPTIMIZERS[name])
    theirs = With(OPTIMIZERS[name])
    fit(ours, IterativePruning(OneShot(0.0), monitor=None))
    fit(theirs)
    assert have_the_same_parameters(ours, theirs)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pruned_weights_are_zero_after_every_step(fit, name):
    watch = Sparsities()
    module = With(OPTIMIZERS[name])
    fit(module, halving(), watch)
    assert watch.seen == HALVED
    assert not any(torch.signbit(w[w == 0]).any() for w in weights(module))


class Grouped(Classifier):
    """Weight decay for the weights alone, chosen by name."""

    def configure_optimizers(self):
        self.names = [name for name, _ in self.named_parameters()]
        decayed = [p for name, p in self.named_parameters() if name.endswith(".weight")]
        others = [p for name, p in self.named_parameters() if not name.endswith(".weight")]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others}]
        return torch.optim.SGD(groups, lr=0.1)


def test_parameters_keep_their_names_and_order(fit):
    module = Grouped()
    names = [name for name, _ in module.named_parameters()]
    keys = list(module.state_dict())
    trainer = fit(module, halving())
    assert module.names == [name for name, _ in module.named_parameters()] == names
    assert list(module.state_dict()) == keys
    assert [len(group["params"]) for group in trainer.optimizers[0].param_groups] == [3, 3]
    assert [type(layer) for layer in module.net[::2]] == [nn.Linear] * 3


def test_the_optimizer_of_a_second_fit_finds_the_same_names(fit):
    module = Grouped()
    fit(module, halving())
    names = module.names
    fit(module, halving())
    assert module.names == names


class ByModule(Classifier):
    """minGPT's grouping: parameters by the type of their module, each exactly once."""

    def configure_optimizers(self):
        decayed = set()
        others = set()
        for module_name, module in self.named_modules():
            for name, _ in module.named_parameters(recurse=False):
                full_name = f"{module_name}.{name}"
                is_decayed = name == "weight" and isinstance(module, nn.Linear)
                (decayed if is_decayed else others).add(full_name)
        parameters = dict(self.named_parameters())
        assert not decayed & others
        assert decayed | others == set(parameters)
        assert len(decayed) == 3
        groups = [
            {"params": [parameters[name] for name in sorted(decayed)], "weight_decay": 0.1},
            {"params": [parameters[name] for name in sorted(others)], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=1e-2)


def test_groups_by_module_type(fit):
    watch = Sparsities()
    fit(ByModule(), halving(), watch)
    assert watch.seen == HALVED


class OneLayer(Classifier):
    """An optimizer of `layer.weight` itself, which must be a leaf."""

    def configure_optimizers(self):
        return torch.optim.SGD([self.net[0].weight], 0.1)


def test_an_optimizer_of_one_weight(fit):
    module = OneLayer()
    trained = module.net[0].weight
    fit(module, halving())
    assert module.net[0].weight is trained
    assert zeros(trained) == 0.5
    assert zeros(module.net[2].weight, module.net[4].weight) == 0


class MomentumEncoder(Classifier):
    """MoCo's second encoder, which follows the first one, parameter by parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.momentum_net = mlp().requires_grad_(False)

    @torch.no_grad()
    def on_train_batch_end(self, outputs, batch, batch_idx):
        pairs = zip(self.net.parameters(), self.momentum_net.parameters(), strict=True)
        for parameter, follower in pairs:
            follower.mul_(0.9).add_(parameter, alpha=0.1)


def test_an_encoder_that_follows_parameter_by_parameter(fit):
    module = MomentumEncoder()
    followed = mlp()

    @torch.no_grad()
    def follow(trainer, module):
        for mean, now in zip(followed.parameters(), module.net.parameters(), strict=True):
            mean.mul_(0.9).add_(now, alpha=0.1)

    fit(module, halving(), Call("on_train_batch_end", follow))
    assert zeros(*weights(module.net)) == 0.5
    assert (
        zeros(*weights(module.momentum_net)) == 0
    )  # its average includes weights from before they were pruned
    assert have_the_same_parameters(module.momentum_net, followed)


class Lookahead(torch.optim.Optimizer):
    """An optimizer that wraps another one and writes averaged weights back (Lookahead)."""

    def __init__(self, inner) -> None:
        self.inner = inner
        super().__init__(inner.param_groups, {})
        self.slow = [[p.detach().clone() for p in g["params"]] for g in self.param_groups]

    @torch.no_grad()
    def step(self, closure=None):
        loss = self.inner.step(closure)
        for group, slow in zip(self.param_groups, self.slow, strict=True):
            for parameter, mean in zip(group["params"], slow, strict=True):
                mean.lerp_(parameter, 0.5)
                parameter.copy_(mean)
        return loss


class SharpnessAware(Classifier):
    """SAM: two backward passes per step, and optimizer methods other than `step`."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        sparsities.append(zeros(*weights(self)))
        optimizer = self.optimizers()
        self.manual_backward(super().training_step(batch, batch_idx))
        climbs = [(p, 0.05 * p.grad) for p in self.parameters()]
        with torch.no_grad():
            for parameter, climb in climbs:
                parameter.add_(climb)
        optimizer.zero_grad()
        sparsities.append(zeros(*weights(self)))
        self.manual_backward(super().training_step(batch, batch_idx))
        with torch.no_grad():
            for parameter, climb in climbs:
                parameter.sub_(climb)
        optimizer.step()
        optimizer.zero_grad()


sparsities = []


def test_an_optimizer_that_climbs_first(fit):
    sparsities.clear()
    watch = Sparsities()
    fit(SharpnessAware(), halving(), watch)
    assert watch.seen == HALVED
    assert sparsities == [0.25] * 8 + [0.5] * 16


def test_an_optimizer_around_another_one(fit):
    watch = Sparsities()
    fit(With(lambda parameters: Lookahead(torch.optim.AdamW(parameters, 1e-2))), halving(), watch)
    assert watch.seen == HALVED


def test_pruned_weights_are_zero_whenever_lbfgs_runs_the_model(fit):
    """It does so several times in a step, along directions from before the round."""
    seen = []

    class Watched(With):
        def training_step(self, batch, batch_idx):
            seen.append(zeros(*weights(self)))
            return super().training_step(batch, batch_idx)

    fit(Watched(OPTIMIZERS["LBFGS"]), IterativePruning(OneShot(0.5, begin=1), monitor=None))
    assert set(seen) == {0.0, 0.5}


def test_an_optimizer_without_hooks_is_refused_by_name(fit):
    """As one that has what Lightning asks for, and is not derived from torch's."""

    class Own:
        defaults = {}

        def __init__(self, parameters) -> None:
            self.inner = torch.optim.SGD(parameters, 0.1)
            self.param_groups = self.inner.param_groups
            self.state = self.inner.state

        def step(self, closure=None):
            return self.inner.step(closure)

        def state_dict(self):
            return self.inner.state_dict()

        def load_state_dict(self, state_dict):
            self.inner.load_state_dict(state_dict)

    with pytest.raises(UsageError, match="Own is no torch.optim.Optimizer"):
        fit(With(Own), halving())


def test_straight_through_gradients_and_several_passes_in_a_step(fit):
    """The second pass would see dense weights."""
    with pytest.raises(UsageError, match="LBFGS"):
        fit(
            With(OPTIMIZERS["LBFGS"]),
            IterativePruning(OneShot(0.5, begin=1), Movement(), monitor=None),
        )


def test_gradients_of_pruned_weights_are_zero_before_anything_reads_them(fit):
    pruning = halving()
    seen = []

    class Reads(Classifier):
        def on_before_optimizer_step(self, optimizer):
            for weight in weights(self):
                seen.append(float(weight.grad[~pruning.masks[weight]].abs().max()))

        def on_after_backward(self):
            self.on_before_optimizer_step(None)

    fit(Reads(), pruning, accumulate_grad_batches=2)
    assert len(seen) == 3 * (12 + 6)
    assert set(seen) == {0.0}


def test_gradients_that_other_code_writes_to_are_zero_before_clipping_and_the_step(fit):
    """As noise, centralised gradients, or low-rank communication between ranks do."""

    class Noisy(Classifier):
        def on_after_backward(self):
            for parameter in self.parameters():
                parameter.grad.add_(1.0)

        def configure_gradient_clipping(self, optimizer, **options):
            pruned.extend(pruned_entries_of_gradient(weight) for weight in weights(self))
            self.clip_gradients(optimizer, 1.0, "norm")

    def pruned_entries_of_gradient(weight):
        return weight.grad[~pruning.masks[weight]].clone()

    pruned, pruning = [], halving()
    fit(Noisy(), pruning)
    assert not torch.cat(pruned).any()


def test_set_to_none_and_zeroed_gradients(fit):
    """`set_to_none` decides whether gradients are replaced or accumulated; both must work."""

    class Zeroed(Classifier):
        def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
            optimizer.zero_grad(set_to_none=False)

    ours, theirs = Zeroed(), Classifier()
    fit(ours, halving())
    fit(theirs, halving())
    assert have_the_same_parameters(ours, theirs)
