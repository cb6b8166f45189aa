"""Pruning in a training loop without a Trainer."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils import prune as torch_prune

from tests.training.own_modules.modules import (
    batches,
    have_the_same_parameters,
    mlp,
    pruned_entries,
    weights,
    zeros,
)
from vitprune.pruning import Global, LayerSelection, Magnitude, Masks, Method, prune
from vitprune.pruning.update import update_masks

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, 1e-2, weight_decay=0.1),
    "AdamW, fused": lambda p: torch.optim.AdamW(p, 1e-2, weight_decay=0.1, fused=True),
}


def train(net, optimizer, epochs=2, clip=None):
    for _ in range(epochs):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()


def pruned_by_torch(net, sparsity):
    for layer in net[::2]:
        torch_prune.l1_unstructured(layer, "weight", sparsity)
    return net


def check_same_as_torch(ours, theirs):
    for our, their in zip(ours[::2], theirs[::2], strict=True):
        torch_prune.remove(their, "weight")
        torch.testing.assert_close(our.weight, their.weight, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(our.bias, their.bias, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clip", [None, 0.05])
def test_prune_then_fine_tune(name, clip):
    net = mlp()
    prune(net, Method(Magnitude()), 0.5)
    masks = Masks(LayerSelection().select(net))
    optimizer = OPTIMIZERS[name](net.parameters())
    masks.enforce(optimizer)
    train(net, optimizer, clip=clip)
    reference = pruned_by_torch(mlp(), 0.5)
    train(reference, OPTIMIZERS[name](reference.parameters()), clip=clip)
    check_same_as_torch(net, reference)
    assert zeros(*weights(net)) == 0.5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rounds_in_a_loop(name):
    net = mlp()
    masks = Masks(LayerSelection().select(net))
    optimizer = OPTIMIZERS[name](net.parameters())
    masks.enforce(optimizer)
    method, before = Method(Magnitude(), allocation=Global()), set()
    for sparsity in (0.25, 0.5, 0.75):
        update_masks(masks, method, sparsity)
        assert zeros(*weights(net)) == sparsity  # at once, not after the next step
        train(net, optimizer, epochs=1)
        assert zeros(*weights(net)) == sparsity
        pruned = {
            (number, *index.tolist())
            for number, weight in enumerate(weights(net))
            for index in (weight == 0).nonzero()
        }
        assert before <= pruned
        before = pruned


def test_prune_updates_the_masks_of_a_loop():
    net = mlp()
    optimizer = OPTIMIZERS["AdamW"](net.parameters())
    masks = Masks(LayerSelection().select(net))
    masks.enforce(optimizer)
    for sparsity in (0.25, 0.5):
        prune(net, Method(), sparsity, masks=masks)
        train(net, optimizer)
        assert zeros(*weights(net)) == sparsity


def test_gradients_of_pruned_weights_are_zero():
    net = mlp()
    prune(net, Method(Magnitude()), 0.5)
    masks = Masks(LayerSelection().select(net))
    masks.enforce(torch.optim.SGD(net.parameters(), 0.1))
    for _ in range(2):  # the second time they accumulate
        net(torch.ones(1, 16)).sum().backward()
        for weight in weights(net):
            assert not weight.grad[~masks[weight]].any()
            assert weight.grad[masks[weight]].any()


def test_zeros_of_pruned_weights_are_positive():
    net = mlp()
    prune(net, Method(Magnitude()), 0.5)
    masks = Masks(LayerSelection().select(net))
    optimizer = OPTIMIZERS["AdamW"](net.parameters())
    masks.enforce(optimizer)
    train(net, optimizer)
    for weight in weights(net):
        assert not pruned_entries(masks, weight).signbit().any()


def test_two_optimizers_hold_the_same_masks():
    net = mlp()
    prune(net, Method(Magnitude()), 0.5)
    masks = Masks(LayerSelection().select(net))
    first = OPTIMIZERS["SGD"](net[0].parameters())
    rest = OPTIMIZERS["AdamW"](net[2:].parameters())
    masks.enforce(first, rest)
    for x, y in batches():
        for optimizer in (first, rest):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        assert zeros(*weights(net)) == 0.5


def test_without_masks_pruned_weights_train_again():
    net = mlp()
    prune(net, Method(Magnitude()), 0.5)
    twin = copy.deepcopy(net)
    masks = Masks(LayerSelection().select(net))
    optimizer = OPTIMIZERS["SGD"](net.parameters())
    masks.enforce(optimizer)
    masks.remove()
    train(net, optimizer)
    train(twin, OPTIMIZERS["SGD"](twin.parameters()))
    assert zeros(*weights(net)) < 0.1
    assert have_the_same_parameters(net, twin)


def test_restore_names_what_other_code_wrote_to():
    net = mlp()
    prune(net, Method(Magnitude()), 0.5)
    masks = Masks(LayerSelection().select(net))
    assert not list(masks.restore())
    with torch.no_grad():
        net[2].weight += 1
        net[0].bias += 1
    value = net[2].weight.detach().clone()
    assert list(masks.restore()) == ["2.weight"]
    assert zeros(net[2].weight) == 0.5
    keep = masks[net[2].weight]
    assert torch.equal(net[2].weight[keep], value[keep])
    with torch.no_grad():
        net[4].weight += 1
    masks.restore()
    assert zeros(*weights(net)) == 0.5


def test_existing_zeros_are_pruned():
    net = mlp()
    with torch.no_grad():
        net[2].weight[:8] = 0
    masks = Masks(LayerSelection().select(net))
    assert torch.equal(masks[net[2].weight], net[2].weight != 0)
    assert masks[net[0].weight].all()
    assert masks[net[0].weight].dtype == torch.bool


def test_a_gradient_scaler_that_skips_steps():
    net = mlp()
    prune(net, Method(Magnitude()), 0.5)
    masks = Masks(LayerSelection().select(net))
    optimizer = OPTIMIZERS["AdamW"](net.parameters())
    masks.enforce(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    scales = []
    for x, y in batches():
        optimizer.zero_grad()
        scaler.scale(4 * F.cross_entropy(net(x), y)).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
        assert zeros(*weights(net)) == 0.5
    assert scales[0] < 2.0**127  # it was skipped
    assert scales[-1] == scales[-2]
    assert all(weight.isfinite().all() for weight in weights(net))


def test_a_compiled_step_of_the_optimizer():
    """A compiled `optimizer.step`, as in torch's tutorial."""
    nets = []
    for compiles in (False, True):
        net = mlp()
        prune(net, Method(Magnitude()), 0.5)
        masks = Masks(LayerSelection().select(net))
        optimizer = OPTIMIZERS["AdamW"](net.parameters())
        masks.enforce(optimizer)
        step = torch.compile(optimizer.step, backend="eager") if compiles else optimizer.step
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            step()
            assert zeros(*weights(net)) == 0.5
        nets.append(net)
    for ours, theirs in zip(weights(nets[0]), weights(nets[1]), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_compiled_net_sees_new_masks():
    net = mlp()
    masks = Masks(LayerSelection().select(net))
    optimizer = OPTIMIZERS["SGD"](net.parameters())
    masks.enforce(optimizer)
    compiled = torch.compile(net, backend="eager")
    for sparsity in (0.25, 0.5):
        update_masks(masks, Method(Magnitude()), sparsity)
        train(compiled, optimizer, epochs=1)
        assert zeros(*weights(net)) == sparsity
        x = torch.ones(2, 16)
        torch.testing.assert_close(compiled(x), net(x))
