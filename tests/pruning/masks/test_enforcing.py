"""Pruned entries stay zero while a model trains."""

import gc
import weakref

import pytest
import torch
from torch import nn

from tests.pruning.masks.training import (
    OPTIMIZERS,
    X,
    Y,
    are_zero,
    backward,
    masks_of,
    pruned_entries,
    pruned_net,
    small_net,
    train,
)
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import Masks, Method, Random
from vitprune.pruning.sparsity import sparsity_of
from vitprune.pruning.update import update_masks


def pruned_gradients(masks):
    return torch.cat([layer.weight.grad[~masks[layer.weight]] for layer in masks.layers])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pruned_entries_are_zero_after_every_step(name):
    net = small_net()
    masks = masks_of(net)
    optimizer = OPTIMIZERS[name](net.parameters())
    masks.enforce(optimizer)
    train(net, optimizer, steps=2)  # the optimizer has momentum for these weights by now
    update_masks(masks, Method(), 0.5)
    before = net[0].weight.detach().clone()
    for _ in range(3):
        train(net, optimizer)
        assert are_zero(pruned_entries(masks))
    assert net[0].weight[masks[net[0].weight]].ne(before[masks[net[0].weight]]).all()


def test_gradients_are_zero_whenever_they_are_accumulated():
    net, masks = pruned_net()
    masks.enforce()
    for _ in range(3):
        backward(net)
        assert are_zero(pruned_gradients(masks))


def test_gradients_of_entries_pruned_while_they_are_accumulated_are_zero():
    net, masks = pruned_net(0.0)
    masks.enforce()
    backward(net)
    update_masks(masks, Method(), 0.5)
    backward(net)
    assert are_zero(pruned_gradients(masks))


def test_clipping_sees_the_norm_of_the_kept_weights():
    net, masks = pruned_net()
    loss = nn.functional.mse_loss(net(X), Y)
    dense = torch.autograd.grad(loss, list(net.parameters()))
    kept = [
        gradient[masks[parameter]] if parameter in masks else gradient.flatten()
        for parameter, gradient in zip(net.parameters(), dense, strict=True)
    ]
    masks.enforce()
    backward(net)
    norm = nn.utils.clip_grad_norm_(net.parameters(), 1e9)
    torch.testing.assert_close(norm, torch.cat(kept).norm())


def test_a_nan_in_the_gradient_of_a_pruned_entry_does_no_harm():
    net, masks = pruned_net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    masks.enforce(optimizer)
    weight = net[0].weight
    factors = torch.ones_like(weight).masked_fill(~masks[weight], torch.nan)
    (weight * factors).sum().backward()
    assert nn.utils.clip_grad_norm_(net.parameters(), 1.0).isfinite()
    optimizer.step()
    assert weight.isfinite().all()
    assert are_zero(pruned_entries(masks))


def test_mixed_precision():
    net, masks = pruned_net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    masks.enforce(optimizer)
    with torch.autocast("cpu", torch.bfloat16):
        backward(net)
    assert are_zero(pruned_gradients(masks))
    optimizer.step()
    assert are_zero(pruned_entries(masks))


def test_a_parameter_that_is_frozen_at_first_is_held_once_it_trains():
    net, masks = pruned_net()
    net[0].weight.requires_grad_(False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    masks.enforce(optimizer)
    assert not net[0].weight.requires_grad
    before = net[0].weight.detach().clone()
    train(net, optimizer)
    assert torch.equal(net[0].weight, before)
    net[0].weight.requires_grad_()
    backward(net)
    assert are_zero(pruned_gradients(masks))
    train(net, optimizer)
    assert not torch.equal(net[0].weight, before)
    assert are_zero(pruned_entries(masks))


def test_parameters_that_are_added_to_an_optimizer_later_are_held():
    net, masks = pruned_net()
    optimizer = torch.optim.SGD(net[0].parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    masks.enforce(optimizer)
    train(net, optimizer)
    optimizer.add_param_group({"params": list(net[2].parameters())})
    update_masks(masks, Method(), 0.75, round=2)
    before = net[2].weight.detach().clone()
    train(net, optimizer, steps=2)
    assert not torch.equal(net[2].weight, before)
    assert are_zero(pruned_entries(masks))


def test_several_optimizers_are_held():
    net, masks = pruned_net(0.0)
    optimizers = [OPTIMIZERS["sgd"](layer.parameters()) for layer in (net[0], net[2])]
    masks.enforce(*optimizers)
    for optimizer in optimizers:
        train(net, optimizer)
    update_masks(masks, Method(), 0.5)
    for optimizer in optimizers:
        train(net, optimizer)
        assert are_zero(pruned_entries(masks))


def test_an_optimizer_that_holds_a_parameter_of_another_one_is_held_too():
    net, masks = pruned_net()
    optimizers = [OPTIMIZERS[name](net.parameters()) for name in ("sgd", "adamw")]
    masks.enforce(*optimizers)
    for optimizer in optimizers:
        train(net, optimizer)
        assert are_zero(pruned_entries(masks))


def test_new_optimizers_take_the_place_of_the_old_ones():
    net, masks = pruned_net(0.0)
    old, new = (OPTIMIZERS["sgd"](net.parameters()) for _ in range(2))
    for optimizer in (old, new):
        masks.enforce(optimizer)
        train(net, optimizer)  # has momentum for all weights now
    update_masks(masks, Method(), 0.5)
    train(net, new)
    assert are_zero(pruned_entries(masks))
    train(net, old)
    assert pruned_entries(masks).any()


def test_later_masks_take_over_the_gradients():
    """As when a net is trained with another callback, from dense weights that were loaded again."""
    net = small_net()
    dense = {name: value.clone() for name, value in net.state_dict().items()}
    masks = masks_of(net)
    masks.enforce()
    update_masks(masks, Method(), 0.5)
    net.load_state_dict(dense)
    later = masks_of(net)
    later.enforce()
    update_masks(later, Method(Random()), 0.25)
    backward(net)
    plain = small_net()
    plain.load_state_dict(net.state_dict())
    backward(plain)
    keep = later[net[0].weight]
    assert torch.equal(net[0].weight.grad[keep], plain[0].weight.grad[keep])
    assert are_zero(pruned_gradients(later))


def test_a_held_parameter_is_freed_with_its_net():
    net, masks = pruned_net()
    masks.enforce(torch.optim.SGD(net.parameters(), 0.1))
    weight = weakref.ref(net[0].weight)
    del net, masks
    gc.collect()
    assert weight() is None


def test_biases_are_held_with_their_layer():
    net = small_net()
    (first, _) = masks_of(net).layers
    masks = Masks([first], biases=[first])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    masks.enforce(optimizer)
    train(net, optimizer)
    with masks.changing():
        masks[net[0].weight].fill_(False)
        masks[net[0].bias].fill_(False)
    train(net, optimizer, steps=2)
    assert are_zero(net[0].weight.detach().flatten())
    assert are_zero(net[0].bias.detach())


def test_parameters_of_half_precision():
    net = small_net().bfloat16()
    masks = masks_of(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    masks.enforce(optimizer)
    update_masks(masks, Method(), 0.5)
    for _ in range(2):
        nn.functional.mse_loss(net(X.bfloat16()), Y.bfloat16()).backward()
        optimizer.step()
    assert net[0].weight.dtype == torch.bfloat16
    assert are_zero(pruned_entries(masks))


def test_a_net_that_changes_its_precision_is_held_on():
    net, masks = pruned_net()
    net.double()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    masks.enforce(optimizer)
    nn.functional.mse_loss(net(X.double()), Y.double()).backward()
    optimizer.step()
    assert net[0].weight.dtype == torch.float64
    assert are_zero(pruned_entries(masks))


def train_and_prune(net, run):
    """Prune, train, prune again and train again; return the masks."""
    masks = masks_of(net)
    optimizer = OPTIMIZERS["sgd"](net.parameters())
    masks.enforce(optimizer)
    for number, sparsity in enumerate((0.0, 0.5, 0.75), start=1):
        update_masks(masks, Method(), sparsity, number)
        optimizer.zero_grad()
        run().square().mean().backward()
        optimizer.step()
    return masks


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        (nn.Conv1d, (2, 8, 3)),
        (nn.Conv2d, (2, 8, 3, 3)),
        (nn.Conv3d, (2, 8, 3, 3, 3)),
        (nn.ConvTranspose2d, (2, 8, 3, 3)),
    ],
)
def test_convolutions(kind, inputs):
    net = kind(8, 4, kernel_size=2, groups=2)
    x = torch.randn(inputs)
    masks = train_and_prune(net, lambda: net(x))
    assert sparsity_of(masks.layers) == 0.75
    assert are_zero(pruned_entries(masks))


@pytest.mark.parametrize("width", [8, 6])  # in one parameter, or in three
def test_projections_of_attention(width):
    net = nn.MultiheadAttention(8, 2, kdim=width, vdim=width, batch_first=True)
    query, key = torch.randn(2, 5, 8), torch.randn(2, 5, width)
    masks = train_and_prune(net, lambda: net(query, key, key)[0])
    assert len(masks.layers) == (2 if width == 8 else 4)
    assert sparsity_of(masks.layers) == 0.75
    assert are_zero(pruned_entries(masks))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_kernels_in_any_memory_order(memory_format):
    torch.manual_seed(0)
    module = nn.Conv2d(3, 4, 2).to(memory_format=memory_format)
    masks = Masks([Layer("kernel", module, "other", None)])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    masks.enforce(optimizer)
    images = torch.randn(2, 3, 4, 4).to(memory_format=memory_format)
    update_masks(masks, Method(), 0.5)
    for _ in range(2):
        module(images).square().mean().backward()
        optimizer.step()
    assert module.weight.is_contiguous(memory_format=memory_format)
    assert are_zero(pruned_entries(masks))
    assert len(pruned_entries(masks)) == 24
