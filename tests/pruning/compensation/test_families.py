"""Real attentions and MLPs: heads, neurons and branches of several families."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.families.families import FAMILIES, logits
from vitprune.errors import UsageError
from vitprune.pruning import (
    Branch,
    Combined,
    Head,
    HeadDim,
    LayerSelection,
    Magnitude,
    Mean,
    Method,
    Neuron,
    Ridge,
    Variance,
    prune,
)

NAMES = ["vit", "swin", "dinov2_swiglu", "timm_vit", "timm_eva02", "timm_beit"]
GRANULARITIES = [
    Branch(),
    Combined([Head(), Neuron()]),
    Combined([HeadDim(), Neuron()]),
]


def build(name):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    family = FAMILIES[name]
    images = family.images(12, seed=5)
    batches = [{"pixel_values": part, "labels": family.labels(6)} for part in images.split(6)]
    return family.build(), images, batches


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=lambda one: str(one)[:28])
@pytest.mark.parametrize("name", NAMES)
def test_the_logits_of_the_calibration_images_change_less(name, granularity):
    dense, images, batches = build(name)
    expected = logits(dense, images)
    errors, kept = [], []
    for compensation in (None, Mean(), Ridge()):
        net = copy.deepcopy(dense)
        method = Method(Variance(), granularity, compensation=compensation)
        prune(net, method, 0.3, batches)
        errors.append(float((logits(net, images) - expected).square().mean()))
        kept.append([layer.weight != 0 for layer in LayerSelection().select(net)])
    without, mean, ridge = errors
    assert mean < without
    assert ridge < 0.95 * mean or isinstance(granularity, Branch)
    assert all(torch.equal(*pair) for pair in zip(kept[0], kept[2], strict=True))


class Outputs:
    """Inputs and outputs of one layer."""

    def __init__(self, net: nn.Module, name: str, images: torch.Tensor) -> None:
        self.seen: list[torch.Tensor] = []
        handle = net.get_submodule(name).register_forward_hook(
            lambda _, inputs, output: self.seen.append(output.double())
        )
        logits(net, images)
        handle.remove()


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from([("fc2", Neuron()), ("o_proj", Head())]),
    st.floats(0.2, 0.75),
    st.sampled_from([1e-6, 1e-3, 0.1, 10.0]),
)
def test_ridge_is_never_worse_than_mean_and_mean_than_nothing(pruned, sparsity, damping):
    """The error of a layer's output, where nothing before the layer is pruned."""
    suffix, granularity = pruned
    dense, images, batches = build("vit")
    name = next(name for name, _ in dense.named_modules() if name.endswith(suffix))
    [expected] = Outputs(dense, name, images).seen
    errors = []
    for compensation in (None, Mean(), Ridge(damping)):
        net = copy.deepcopy(dense)
        method = Method(Magnitude(), granularity, compensation=compensation)
        prune(net, method, sparsity, batches, LayerSelection(blocks=[0]))
        [found] = Outputs(net, name, images).seen
        errors.append(float((found - expected).square().mean()))
    without, mean, ridge = errors
    assert ridge <= mean * (1 + 1e-5)
    assert mean <= without * (1 + 1e-5)


def test_a_pruned_branch_leaves_its_mean_in_its_bias():
    dense, images, batches = build("vit")
    net = copy.deepcopy(dense)
    method = Method(Variance(), Branch(), compensation=Mean())
    layers = LayerSelection(roles=["attn_out", "mlp_out"], blocks=[0])
    prune(net, method, 0.5, batches, layers)
    [pruned] = [layer for layer in layers.select(net) if not layer.weight.any()]
    [mean] = Outputs(dense, pruned.name, images).seen
    torch.testing.assert_close(pruned.bias.double(), mean.flatten(0, -2).mean(0), rtol=0, atol=1e-5)


def test_a_second_round_compensates_for_what_it_prunes_itself():
    net, images, batches = build("vit")
    expected = logits(net, images)
    plain = copy.deepcopy(net)
    for sparsity in (0.2, 0.4):
        prune(net, Method(Variance(), Neuron(), compensation=Ridge()), sparsity, batches)
        prune(plain, Method(Variance(), Neuron()), sparsity, batches)
    ours, theirs = ((logits(each, images) - expected).square().mean() for each in (net, plain))
    assert ours < theirs / 2


def test_attention_that_cannot_be_observed_is_refused():
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    batches = [(torch.randn(2, 5, 8), torch.zeros(2, dtype=torch.long))]
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UsageError, match="Cannot collect calibration statistics for self_attn"):
        prune(model, Method(granularity=Head(), compensation=Ridge()), 0.5, batches)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
