"""Masks of sharded parameters (FSDP2), in a group of one process."""

import pytest
import torch
import torch.distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from tests.pruning.masks.training import OPTIMIZERS, are_zero, masks_of, small_net, train
from vitprune.pruning import Method
from vitprune.pruning.sparsity import sparsity_of
from vitprune.pruning.update import update_masks


@pytest.fixture
def mesh():
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


def sharded_net(mesh):
    net = fully_shard(small_net(), mesh=mesh)
    assert isinstance(net[0].weight, DTensor)
    return net


def trained(net, *, straight_through):
    """Return the weights of a net that is pruned twice while it trains."""
    masks = masks_of(net, straight_through=straight_through)
    optimizer = OPTIMIZERS["adamw"](net.parameters())
    masks.enforce(optimizer)
    optimizer.register_step_pre_hook(lambda stepped, *_: masks.before_step(stepped))
    for number, sparsity in enumerate((0.25, 0.5), start=1):
        update_masks(masks, Method(), sparsity, number)
        train(net, optimizer, steps=2)
    assert sparsity_of(masks.layers) == 0.5
    return [parameter.detach() for parameter in net.parameters()]


@pytest.mark.parametrize("straight_through", [False, True])
def test_sharded_weights_are_those_of_whole_ones(mesh, straight_through):
    whole = trained(small_net(), straight_through=straight_through)
    sharded = trained(sharded_net(mesh), straight_through=straight_through)
    for value, other in zip(sharded, whole, strict=True):
        assert torch.equal(value.full_tensor(), other)


def test_writes_to_a_shard_are_undone(mesh):
    net = sharded_net(mesh)
    masks = masks_of(net)
    update_masks(masks, Method(), 0.5)
    net[0].weight.data.to_local().fill_(-1.0)
    assert masks.restore() == ["0.weight"]
    assert are_zero(net[0].weight.full_tensor().detach()[~masks[net[0].weight]])


@pytest.mark.parametrize("straight_through", [False, True])
def test_the_state_is_whole_and_fits_an_unsharded_model(mesh, straight_through):
    net = sharded_net(mesh)
    masks = masks_of(net, straight_through=straight_through)
    update_masks(masks, Method(), 0.5)
    other = small_net()
    restored = masks_of(other, straight_through=straight_through)
    restored.load_state_dict(masks.state_dict())
    for index in (0, 2):
        assert torch.equal(other[index].weight, net[index].weight.full_tensor())
        assert torch.equal(restored[other[index].weight], masks[net[index].weight])
