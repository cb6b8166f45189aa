"""Masks leave the parameters of a model ordinary ones, with zeros in them."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tests.conftest import tiny_net
from tests.pruning.masks.training import (
    X,
    are_zero,
    backward,
    masks_of,
    pruned_entries,
    pruned_net,
    small_net,
    train,
    values_of,
)
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import LayerSelection, Masks, Method, Random
from vitprune.pruning.sparsity import measure
from vitprune.pruning.update import update_masks


def saved_and_loaded(net):
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_there_is_one_mask_for_each_weight():
    net = small_net()
    masks = masks_of(net)
    assert [mask.name for mask in masks] == ["0.weight", "2.weight"]
    assert net[0].weight in masks
    assert net[0].bias not in masks
    assert masks[net[0].weight].shape == (16, 8)
    assert masks[net[0].weight].dtype == torch.bool


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_masks_follow_a_net_from_a_gpu_to_the_cpu():
    net, masks = pruned_net()
    net.cuda()
    masks.enforce()
    net.cpu()  # as a Trainer does at the end of a fit
    nn.init.ones_(net[0].weight)
    assert masks.restore() == ["0.weight"]
    assert masks[net[0].weight].device.type == "cpu"
    backward(net)
    assert are_zero(net[0].weight.grad[~masks[net[0].weight]])


def test_a_net_is_copied_together_with_its_masks():
    net, masks = pruned_net()
    twin, twins = copy.deepcopy((net, masks))
    assert torch.equal(twins[twin[0].weight], masks[net[0].weight])
    assert net[0].weight not in twins
    with twins.changing():
        twins[twin[0].weight].fill_(False)
    assert are_zero(twin[0].weight.detach())
    assert not are_zero(net[0].weight.detach())


def test_entries_are_zero_as_soon_as_they_are_pruned():
    net = small_net()
    masks = masks_of(net)
    before = net[0].weight.detach().clone()
    with masks.changing():
        masks[net[0].weight][3] = False
    assert are_zero(net[0].weight[3].detach())
    assert torch.equal(net[0].weight[4:], before[4:])


def test_entries_that_are_kept_again_start_at_zero():
    net, masks = pruned_net()
    before = net[0].weight.detach().clone()
    with masks.changing():
        masks[net[0].weight].fill_(True)
    assert torch.equal(net[0].weight, before)


def test_a_round_changes_masks_in_place():
    net, masks = pruned_net(0.25)
    keep = masks[net[0].weight]
    update_masks(masks, Method(), 0.75, round=2)
    assert masks[net[0].weight] is keep


def test_a_model_stays_as_it_is(family):
    net = tiny_net(family)
    names = [name for name, _ in net.named_parameters()]
    parameters = list(net.parameters())
    keys = list(net.state_dict())
    classes = [type(module) for module in net.modules()]

    def is_as_before():
        return (
            [name for name, _ in net.named_parameters()] == names
            and all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
            and list(net.state_dict()) == keys
            and [type(module) for module in net.modules()] == classes
        )

    masks = Masks(LayerSelection().select(net))
    assert is_as_before()
    masks.enforce(torch.optim.SGD(net.parameters()))
    update_masks(masks, Method(), 0.5)
    assert is_as_before()
    masks.remove()
    assert is_as_before()


def test_removal_changes_no_value():
    net, masks = pruned_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    masks.enforce(optimizer)
    train(net, optimizer)
    before = values_of(net)
    masks.remove()
    assert all(map(torch.equal, net.parameters(), before))


def test_after_removal_nothing_is_held():
    net, masks = pruned_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    masks.enforce(optimizer)
    masks.enforce(optimizer)  # twice, as before a second training
    masks.remove()
    train(net, optimizer)
    assert pruned_entries(masks).any()


# ---- one parameter, several modules


def test_layers_that_share_a_parameter_share_its_mask():
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    second.weight = first.weight
    masks = Masks(
        Layer(name, module, "other", None) for name, module in (("0", first), ("1", second))
    )
    with masks.changing():
        masks[second.weight][0] = False
    assert [mask.name for mask in masks] == ["0.weight"]
    assert masks[first.weight] is masks[second.weight]
    assert are_zero(first.weight[0].detach())


def test_a_parameter_that_two_modules_share_is_pruned_once():
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    net[2].weight = net[0].weight
    masks = masks_of(net)
    update_masks(
        masks, Method(Random()), 0.5
    )  # scores by layer name would differ between the two layers
    assert measure(net, masks.layers).layers == {"0": 0.5, "4": 0.5}


def test_a_tied_embedding_follows_the_mask_of_the_layer():
    embedding = nn.Embedding(8, 4)
    layer = nn.Linear(4, 8, bias=False)
    layer.weight = embedding.weight
    net = nn.Sequential(embedding, layer)
    masks = masks_of(net)
    with masks.changing():
        masks[layer.weight][0] = False
    output = net(torch.arange(8))
    masks.remove()
    assert are_zero(embedding(torch.tensor(0)).detach())
    assert torch.equal(net(torch.arange(8)), output)


# ---- copies


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), saved_and_loaded],
    ids=["deepcopy", "pickle", "torch.save"],
)
def test_a_copy_is_plain_and_trains_without_masks(copied):
    net, masks = pruned_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    masks.enforce(optimizer)
    twin = copied(net)
    assert torch.equal(twin(X), net(X))
    train(twin, torch.optim.SGD(twin.parameters(), lr=0.1))
    assert twin[0].weight[~masks[net[0].weight]].any()
    train(net, optimizer)
    assert are_zero(pruned_entries(masks))


def test_averages_of_pruned_entries_are_zero():
    net, masks = pruned_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    masks.enforce(optimizer)
    average = AveragedModel(net)
    for _ in range(3):
        train(net, optimizer)
        average.update_parameters(net)
    averaged = average.module[0].weight.detach()
    assert not torch.equal(averaged, net[0].weight)
    assert are_zero(averaged[~masks[net[0].weight]])


def test_pruned_entries_of_an_older_copy_can_be_zeroed():
    net = small_net()
    older = copy.deepcopy(net)
    masks = masks_of(net)
    update_masks(masks, Method(), 0.5)
    for mask, layer in zip(masks, (older[0], older[2]), strict=True):
        mask.apply_to(layer.weight)
    assert are_zero(older[0].weight[~masks[net[0].weight]].detach())
    assert all(map(torch.equal, net.parameters(), older.parameters()))


# ---- what other code writes


def test_what_was_written_to_pruned_entries_is_undone_and_named():
    net, masks = pruned_net()
    assert masks.restore() == []
    with torch.no_grad():
        net[2].weight.fill_(1.0)
    assert masks.restore() == ["2.weight"]
    assert are_zero(pruned_entries(masks))
    assert net[2].weight[masks[net[2].weight]].eq(1).all()  # the rest of it is kept
    assert masks.restore() == []


@pytest.mark.parametrize("value", [1e-30, torch.nan, torch.inf])
def test_a_write_by_data_is_found_whatever_its_value(value):
    net, masks = pruned_net()
    place = (~masks[net[0].weight]).nonzero()[0]
    net[0].weight.data[tuple(place)] = value
    assert masks.restore() == ["0.weight"]
    assert are_zero(pruned_entries(masks))


def test_a_loaded_dense_state_is_pruned_again():
    net, masks = pruned_net()
    net.load_state_dict(small_net().state_dict())
    assert masks.restore() == ["0.weight", "2.weight"]
    assert are_zero(pruned_entries(masks))


def test_a_write_to_kept_entries_stays():
    net, masks = pruned_net()
    net[0].weight.data.clamp_(-0.01, 0.01)
    before = values_of(net)
    assert masks.restore() == []
    assert all(map(torch.equal, net.parameters(), before))


def test_pruned_entries_are_zeroed_on_request():
    net, masks = pruned_net()
    net[0].weight.data.fill_(-1.0)
    masks.restore()
    assert are_zero(pruned_entries(masks))


def test_without_layers_there_is_nothing_to_restore():
    assert Masks([]).restore() == []


# ---- other layers


def test_a_frozen_model_can_be_pruned():
    net = small_net().requires_grad_(False)
    masks = masks_of(net)
    update_masks(masks, Method(), 0.5)
    masks.enforce()
    assert are_zero(pruned_entries(masks))
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_the_output_of_an_attention_follows_its_mask():
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    masks = masks_of(attention)
    with masks.changing():
        masks[attention.out_proj.weight].fill_(False)
    x = torch.randn(1, 3, 8)
    assert torch.equal(attention(x, x, x)[0], attention.out_proj.bias.expand(1, 3, 8))


def test_sparsity_is_that_of_the_weights():
    net, masks = pruned_net(0.25)
    update_masks(masks, Method(Random()), 0.5, round=2)
    assert measure(net, masks.layers).prunable == 0.5
    assert (len(pruned_entries(masks)), are_zero(pruned_entries(masks))) == (96, True)
