"""Unknown parts of a model that write to the residual stream, read it, or fix its width."""

import pytest
import torch
from torch import nn

from tests.conftest import tiny_net
from tests.families.families import FAMILIES, logits
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_structure
from vitprune.model.channels import KeptChannels
from vitprune.pruning import LayerSelection, Method, Width
from vitprune.pruning.granularity.proof import check_coupling
from vitprune.pruning.update import update_masks

IMAGES = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def prove(net, images=IMAGES):
    groupings = Width().groupings(LayerSelection().select(net, Width().roles))
    check_coupling(net, groupings, lambda: logits(net, images))


@pytest.mark.parametrize("name", ["vit", "dinov2_registers", "beit", "clip", "timm_vit_qknorm"])
def test_a_known_model_is_proven_and_restored(name):
    family = FAMILIES[name]
    net = family.build()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    expected = logits(net, family.images())
    prove(net, family.images(1))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(logits(net, family.images()), expected)
    stream = find_structure(net).stream
    assert not any(KeptChannels.of(norm) for norm in stream.norms.values())


def test_a_model_with_pruned_channels_is_restored():
    net = tiny_net("vit")
    method = Method(granularity=Width())
    masks = method.masks(LayerSelection().select(net, Width().roles))
    update_masks(masks, method, 0.25)
    keep, expected = masks.channels.keep.clone(), logits(net, IMAGES)
    prove(net)
    assert torch.equal(masks.channels.keep, keep)
    assert torch.equal(logits(net, IMAGES), expected)


class Adding(nn.Module):
    """Writes to the stream without a parameter, where no norm follows."""

    def forward(self, hidden):
        return hidden + 1


class Spreading(nn.Module):
    """Writes the mean of the channels to every third of them."""

    def forward(self, hidden):
        spread = torch.zeros_like(hidden)
        spread[..., ::2] = hidden.mean(-1, keepdim=True)
        return hidden + spread


class Wide(nn.Module):
    """Needs 32 channels."""

    def forward(self, hidden):
        return hidden.view(len(hidden), -1, 32)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Adding, "writes to the residual stream"),
        (Spreading, "reads the residual stream"),
        (Wide, "the code of the model fixes its width"),
    ],
)
def test_an_unknown_part_is_refused(part, message):
    net = tiny_net("vit")
    if part is Adding:
        net.vit.layernorm = nn.Sequential(net.vit.layernorm, Adding())
    else:
        net.vit.embeddings.dropout = part()
    with pytest.raises(UsageError, match=message):
        prove(net)


def test_attention_of_timm_that_is_as_wide_as_the_stream_is_refused():
    family = FAMILIES["timm_beit"]
    with pytest.raises(UsageError, match="the code of the model fixes its width"):
        prove(family.build(), family.images(1))
