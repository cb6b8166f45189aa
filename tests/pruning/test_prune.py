"""One-shot pruning of any module, with torch alone."""

import pytest
import torch
from timm.models.maxxvit import AttentionCl
from torch import nn

from tests.conftest import tiny_net
from tests.pruning.axes import CRITERIA, GRANULARITIES, name
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import (
    Branch,
    Global,
    Head,
    LayerSelection,
    Magnitude,
    Masks,
    Method,
    Movement,
    NofM,
    PerLayer,
    SparseGPT,
    Taylor,
    Wanda,
    prune,
)

IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(3))
LABELS = torch.tensor([1, 2, 3, 4, 5, 6])
MAPPINGS = [
    {"pixel_values": IMAGES[:4], "labels": LABELS[:4]},
    {"pixel_values": IMAGES[4:], "labels": LABELS[4:]},
]
WITHOUT_TRAINING = [criterion for criterion in CRITERIA if not criterion.straight_through]


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 4))


@pytest.mark.parametrize("criterion", WITHOUT_TRAINING, ids=name)
def test_every_criterion_reaches_the_sparsity(criterion):
    net = tiny_net()
    reached = prune(net, Method(criterion), 0.5, MAPPINGS)
    assert reached.prunable == 0.5
    assert set(reached.layers.values()) == {0.5}
    for layer in find_layers(net):
        zeros = float((layer.weight == 0).float().mean())
        assert zeros == reached.layers.get(layer.name, 0.0)
    assert reached.total == reached.zeros / reached.parameters


class PerHead(nn.Module):
    """Attention of MaxViT, whose fused weight is not what its record says."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([AttentionCl(24, dim_head=6)])

    def forward(self, tokens):
        return self.layers[0](tokens).mean(1)


@pytest.mark.parametrize("criterion", [Magnitude(), Taylor()], ids=name)
def test_batches_prove_that_groups_are_coupled(criterion):
    net = PerHead()
    before = [parameter.clone() for parameter in net.parameters()]
    batches = [(torch.randn(2, 5, 24), torch.tensor([0, 1]))]
    with pytest.raises(UsageError, match=r"structure of layers\.0 \(AttentionCl\) is not what"):
        prune(net, Method(criterion, Head()), 0.5, batches)
    assert all(map(torch.equal, before, net.parameters()))
    assert net.training
    assert prune(tiny_net(), Method(criterion, Head()), 0.5, iter(MAPPINGS)).prunable == 0.5


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=name)
def test_every_granularity_is_pruned(granularity):
    allocation = Global() if granularity.ranked_together else None
    sparsity = 1 - granularity.n / granularity.m if isinstance(granularity, NofM) else 0.5
    reached = prune(tiny_net(), Method(granularity=granularity, allocation=allocation), sparsity)
    assert reached.prunable == pytest.approx(sparsity, abs=0.07)


def test_a_pruned_branch_takes_its_bias_with_it():
    net = tiny_net()
    for layer in find_layers(net):
        nn.init.normal_(layer.module.bias)
    reached = prune(net, Method(granularity=Branch()), 0.5)
    pruned = [layer for layer in find_layers(net) if reached.layers.get(layer.name) == 1]
    assert pruned
    assert not any(layer.module.bias.any() for layer in pruned)


@pytest.mark.parametrize("criterion", [Taylor(), Wanda(), SparseGPT()], ids=name)
def test_pairs_and_mappings_give_the_same_masks(criterion):
    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = tiny_net()

        def forward(self, images):
            return self.net(pixel_values=images).logits

    plain = Logits()
    prune(plain, Method(criterion), 0.6, [(IMAGES[:4], LABELS[:4]), [IMAGES[4:], LABELS[4:]]])
    net = tiny_net()
    prune(net, Method(criterion), 0.6, MAPPINGS)
    for left, right in zip(find_layers(plain.net), find_layers(net), strict=True):
        assert torch.equal(left.weight, right.weight)


def test_modes_gradients_and_hooks_are_as_before():
    model = mlp()
    model[2].eval()
    prune(model, Method(Taylor()), 0.5, [(torch.randn(5, 8), torch.tensor([0, 1, 2, 3, 0]))])
    assert [module.training for module in model] == [True, True, False, True]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_pruning_again_keeps_what_is_pruned():
    model = mlp()
    prune(model, Method(), 0.5)
    before = [layer.weight != 0 for layer in find_layers(model)]
    assert prune(model, Method(), 0.75).prunable == 0.75
    after = [layer.weight != 0 for layer in find_layers(model)]
    assert not any((new & ~old).any() for new, old in zip(after, before, strict=True))


def test_a_pruned_model_is_plain_and_masks_keep_its_zeros_in_training():
    model = mlp()
    prune(model, Method(), 0.5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    Masks(LayerSelection().select(model)).enforce(optimizer)
    model(torch.randn(5, 8)).square().sum().backward()
    optimizer.step()
    assert sorted(model.state_dict()) == ["0.bias", "0.weight", "3.bias", "3.weight"]
    assert int((model[0].weight == 0).sum()) == 64


@pytest.mark.parametrize(
    ("method", "sparsity", "batches", "message"),
    [
        (Method(), 1.0, None, r"must lie in \[0, 1\), not 1.0"),
        (Method(), -0.1, None, r"must lie in \[0, 1\), not -0.1"),
        (Method(Wanda()), 0.5, None, "Wanda needs calibration data. Pass batches"),
        (Method(Wanda()), 0.5, [{"x": LABELS}], r"a mapping with labels.*not \['x'\]"),
        (Method(Wanda()), 0.5, [LABELS], r"a pair \(inputs, labels\), not Tensor"),
        (Method(Wanda()), 0.5, [], "no calibration data"),
        (Method(Movement()), 0.5, None, "Use IterativePruning, or another criterion"),
        (Method(granularity=NofM(2, 4)), 0.6, None, "final sparsity of 0.5, not 0.6. Set final_"),
        (Method(granularity=Head()), 0.5, None, "vitprune knows no attention in Sequential"),
        (Method(Magnitude()), float("nan"), None, "must lie in"),
        (Magnitude(), 0.5, None, "must be a Method, such as"),
        (Method(Wanda()), 0.5, LABELS, r"a pair \(inputs, labels\), not Tensor"),
        (Method(allocation=PerLayer({"*": 0.2})), 0.5, None, "PerLayer is 0.2000, but the target"),
        (Method(allocation=Global(min_density=0.5)), 0.9, None, "reachable sparsity is 0.5"),
    ],
)
def test_what_cannot_work_leaves_the_model_as_it_is(method, sparsity, batches, message):
    model = mlp()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UsageError, match=message):
        prune(model, method, sparsity, batches)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_other_layers_can_be_selected():
    model = mlp()
    reached = prune(model, Method(), 0.5, layers=LayerSelection(exclude=["0"]))
    assert reached.layers == {"3": 0.5}


def test_calibration_works_without_gradients_switched_on():
    expected = mlp()
    prune(expected, Method(Taylor()), 0.5, [(torch.ones(4, 8), torch.arange(4))])
    model = mlp()
    with torch.no_grad():
        prune(model, Method(Taylor()), 0.5, [(torch.ones(4, 8), torch.arange(4))])
    assert torch.equal(model[0].weight, expected[0].weight)
