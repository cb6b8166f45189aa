"""Fewer channels in all tensors, for good or for the time of a context."""

import copy

import pytest
import torch

from tests.families.families import FAMILIES, logits
from vitprune.model.anatomy.layers import find_structure
from vitprune.model.channels import KeptChannels
from vitprune.model.narrowing import keep_channels, only_channels

KEPT = torch.arange(0, 32, 3)


@pytest.mark.parametrize("name", ["vit", "dinov2", "clip", "timm_vit"])
def test_a_model_of_fewer_channels_has_the_logits_of_the_masked_one(name):
    family = FAMILIES[name]
    net, images = family.build().double(), family.images().double()
    stream = find_structure(net).stream
    keep = torch.zeros(32, dtype=torch.bool)
    keep[KEPT] = True
    with torch.no_grad():
        for entries in stream.entries:
            entries.by_channel(entries.parameter)[~keep] = 0
    KeptChannels(keep).attach(stream.norms.values())
    expected = logits(net, images)
    parameters = list(net.parameters())
    with only_channels(stream, KEPT):
        torch.testing.assert_close(logits(net, images), expected, rtol=0, atol=1e-12)
        assert all(entries.parameter.shape[entries.dim] != 32 for entries in stream.entries)
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert torch.equal(logits(net, images), expected)
    small = copy.deepcopy(net)
    keep_channels(find_structure(small).stream, KEPT)
    assert find_structure(small).stream.channels == len(KEPT)
    torch.testing.assert_close(logits(small, images), expected, rtol=0, atol=1e-12)
    assert torch.equal(logits(net, images), expected)
