"""Variance of groups: what they add to the residual stream, or to the attention scores."""

import pytest
import torch

from tests.families.families import FAMILIES, logits
from vitprune.pruning import Head, HeadDim, LayerSelection, Neuron, Variance
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate
from vitprune.pruning.criteria.criterion import Scoring


def seen(net, images):
    """Return inputs and outputs of the linear layers by name, (tokens, ...)."""
    found = {}
    for layer in LayerSelection().select(net):
        layer.module.register_forward_hook(
            lambda _, inputs, output, name=layer.name: found.update(
                {name: (inputs[0].double().flatten(0, -2), output.double().flatten(0, -2))}
            )
        )
    logits(net, images)
    return found


def scores(net, images, granularity):
    """Return the scores of the groupings of the first block, and its layers by role."""
    layers = LayerSelection(blocks=[0]).select(net, granularity.roles)
    batches = [CalibrationBatch(lambda: net(pixel_values=images).logits.sum(), len(images))]
    statistics = calibrate(Variance(), layers, batches)
    scorings = {name: Scoring(name, 1, 42, value) for name, value in statistics.items()}
    groupings = granularity.groupings(layers)
    by_role = {layer.role: layer for layer in layers}
    return [Variance().score_groups(one, scorings).double() for one in groupings], by_role


@pytest.fixture
def images():
    return FAMILIES["vit"].images(4)


@torch.no_grad()
@pytest.mark.parametrize("family", ["vit", "dinov2_swiglu"])
def test_neurons(images, family):
    net = FAMILIES[family].build()
    [found], layers = scores(net, images, Neuron())
    output = layers["mlp_out"]
    inputs, _ = seen(net, images)[output.name]
    expected = inputs.var(0, correction=0) * output.weight.double().square().sum(0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


@torch.no_grad()
def test_heads_and_value_dimensions(images):
    net = FAMILIES["vit"].build()
    [heads], layers = scores(net, images, Head())
    [_, values], _ = scores(net, images, HeadDim())
    output = layers["attn_out"]
    inputs, _ = seen(net, images)[output.name]
    expected = inputs.var(0, correction=0) * output.weight.double().square().sum(0)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(heads, expected.view(4, -1).sum(1), rtol=1e-4, atol=1e-7)


@torch.no_grad()
def test_query_and_key_dimensions(images):
    net = FAMILIES["vit"].build()
    [found, _], layers = scores(net, images, HeadDim())
    (_, query), (_, key) = (seen(net, images)[layers[role].name] for role in ("query", "key"))
    expected = query.square().mean(0) * key.var(0, correction=0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


@torch.no_grad()
def test_pairs_of_rotary_dimensions(images):
    net = FAMILIES["dinov3"].build()
    [found, _], layers = scores(net, images, HeadDim())
    (_, query), (_, key) = (seen(net, images)[layers[role].name] for role in ("query", "key"))
    parts = (query.square().mean(0), key.var(0, correction=0))
    query, key = (part.view(4, 2, -1).sum(1).flatten() for part in parts)  # i with i + dims / 2
    torch.testing.assert_close(found, query * key, rtol=1e-4, atol=1e-7)


def test_fused_queries_and_keys():
    pytest.importorskip("timm")
    net = FAMILIES["timm_vit"].build()
    [found, _], layers = scores(net, FAMILIES["timm_vit"].images(4), HeadDim())
    _, fused = seen(net, FAMILIES["timm_vit"].images(4))[layers["qkv"].name]
    query, key, _ = fused.chunk(3, dim=1)
    expected = query.square().mean(0) * key.var(0, correction=0)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-7)
