"""Channels of the residual stream as groups."""

import copy

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from tests.conftest import tiny_net, tiny_swin
from tests.families.families import FAMILIES, logits
from vitprune import prune
from vitprune.errors import UsageError
from vitprune.exports.shrinking.stream import without_pruned_channels
from vitprune.model.anatomy.layers import find_structure
from vitprune.pruning import Global, LayerSelection, Method, Movement, Uniform, Width
from vitprune.pruning.update import update_masks

IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([1, 2, 3, 4])


def select(net, granularity=None):
    return LayerSelection().select(net, (granularity or Width()).roles)


def masks_of(net, sparsity=0.0, granularity=None):
    """Return the masks of a net whose channels are pruned."""
    method = Method(granularity=granularity or Width())
    masks = method.masks(select(net))
    update_masks(masks, method, sparsity)
    return masks


def channels_are_zero(net, keep):
    """Return whether all entries of pruned channels, and no whole other channels, are zero."""
    for entries in find_structure(net).stream.entries:
        alive = entries.by_channel(entries.parameter).flatten(1).any(dim=1)
        if alive[~keep].any():
            return False
    return True


def test_a_group_is_a_channel_of_the_whole_model():
    net = tiny_net("vit")
    (grouping,) = Width().groupings(select(net))
    assert grouping.groups == 32
    # a block has four attention matrices and two of the MLP
    assert grouping.group_size == 2 * (4 * 32 + 2 * 64)
    assert grouping.dimension.kind == "width"


def test_the_channels_of_the_smallest_weights_are_pruned():
    net = tiny_net("vit")
    magnitudes = torch.zeros(32)
    for layer in select(net):
        rows = layer.role in ("attn_out", "mlp_out")
        magnitudes += layer.weight.detach().abs().sum(dim=1 if rows else 0)
    masks = masks_of(net, 0.25)
    assert int(masks.channels.keep.sum()) == 24
    assert set((~masks.channels.keep).nonzero().flatten().tolist()) == set(
        magnitudes.argsort()[:8].tolist()
    )


def test_every_parameter_of_the_stream_loses_the_channel(family):
    net = tiny_net(family)
    nn.init.ones_(net.classifier.bias)
    before = copy.deepcopy(net)
    masks = masks_of(net, 0.25)
    assert channels_are_zero(net, masks.channels.keep)
    for (name, ours), theirs in zip(net.named_parameters(), before.parameters(), strict=True):
        kept = masks[ours] if ours in masks else torch.ones_like(ours, dtype=torch.bool)
        assert torch.equal(ours, theirs * kept), name
    assert net.classifier.bias.all()


def test_without_pruned_channels_nothing_changes_bit_for_bit():
    net = tiny_net("vit")
    expected = logits(net, IMAGES)
    masks_of(net)
    assert torch.equal(logits(net, IMAGES), expected)


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_pruned_channels_stay_zero_and_have_zero_gradients_while_the_model_trains(optimizer):
    net = tiny_net("vit").train()
    optimizer = optimizer(net.parameters(), lr=1e-2)
    masks = masks_of(net, 0.25)
    masks.enforce(optimizer)
    before = logits(net, IMAGES)
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(pixel_values=IMAGES).logits, LABELS)
        loss.backward()
        for mask in masks:
            assert not mask.parameter.grad[~mask.keep].any(), mask.name
        optimizer.step()
        assert channels_are_zero(net, masks.channels.keep)
    assert not torch.equal(logits(net, IMAGES), before)
    masks.remove()
    trained = logits(net, IMAGES)
    assert not torch.equal(trained, before)


def test_removing_the_hooks_changes_no_logit():
    net = tiny_net("vit")
    masks = masks_of(net, 0.25)
    expected = logits(net, IMAGES)
    masks.remove()
    assert torch.equal(logits(net, IMAGES), expected)


def test_training_is_that_of_the_smaller_model():
    net = tiny_net("vit").double().train()
    masks = masks_of(net, 0.25)
    small = without_pruned_channels(net)
    optimizers = [torch.optim.AdamW(n.parameters(), lr=1e-3) for n in (net, small)]
    masks.enforce(optimizers[0])
    for _ in range(3):
        for n, optimizer in zip((net, small), optimizers, strict=True):
            optimizer.zero_grad()
            outputs = n(pixel_values=IMAGES.double()).logits
            nn.functional.cross_entropy(outputs, LABELS).backward()
            optimizer.step()
    images = IMAGES.double()
    torch.testing.assert_close(logits(net, images), logits(small, images), rtol=0, atol=1e-9)


def test_pruned_channels_stay_pruned_in_later_rounds():
    net = tiny_net("vit")
    method = Method(granularity=Width())
    masks = method.masks(select(net))
    kept = []
    for sparsity in (0.25, 0.5):
        update_masks(masks, method, sparsity)
        kept.append(masks.channels.keep.clone())
    assert kept[1].sum() == 16
    assert not (kept[1] & ~kept[0]).any()


def test_masks_of_a_pruned_model_continue_with_its_channels():
    net = tiny_net("vit")
    first = masks_of(net, 0.25)
    keep = first.channels.keep.clone()
    second = Method(granularity=Width()).masks(select(net))
    assert torch.equal(second.channels.keep, keep)
    assert all(torch.equal(second[mask.parameter], mask.keep) for mask in first)


def test_masks_are_restored_from_a_checkpoint():
    net, other = tiny_net("vit"), tiny_net("vit")
    masks = masks_of(net, 0.25)
    restored = Method(granularity=Width()).masks(select(other))
    restored.load_state_dict(masks.state_dict())
    assert torch.equal(restored.channels.keep, masks.channels.keep)
    assert torch.equal(logits(other, IMAGES), logits(net, IMAGES))


def test_an_eighth_of_the_channels_is_kept_and_their_number_is_a_multiple_of_round_to():
    net = tiny_net("vit")
    masks = masks_of(net, 0.99)
    assert int(masks.channels.keep.sum()) == 4
    masks = masks_of(tiny_net("vit"), 0.99, Width(round_to=16))
    assert int(masks.channels.keep.sum()) == 16
    masks = masks_of(tiny_net("vit"), 0.4, Width(round_to=8))
    assert int(masks.channels.keep.sum()) == 16


def test_frozen_parts_lose_the_channel_as_well():
    net = tiny_net("vit")
    net.vit.embeddings.requires_grad_(False)
    masks = masks_of(net, 0.25)
    assert channels_are_zero(net, masks.channels.keep)


def test_a_sequence_of_tokens_of_every_family_is_pruned():
    """A pooling head reads the stream by a query of its own."""
    net = FAMILIES["timm_siglip"].build()
    masks = masks_of(net, 0.25)
    latent = net.timm_model.attn_pool.latent
    assert torch.equal(masks[latent].flatten(), masks.channels.keep)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: masks_of(tiny_swin()), "its blocks have residual streams of 8, 16 channels"),
        (lambda: Width(round_to=0), "round_to must be at least 1"),
        (
            lambda: masks_of(tiny_net("vit"), granularity=Width(round_to=5)),
            "round_to 5 does not divide the 32 channels",
        ),
        (lambda: Method(Movement(), Width()), "Movement lets pruned groups regrow"),
        (lambda: Method(granularity=Width(), allocation=Uniform()), "needs one ranking over all"),
        (
            lambda: prune(
                tiny_net("vit"),
                Method(granularity=Width()),
                0.5,
                layers=LayerSelection(skip_blocks=[0]),
            ),
            r"leaves out vit\.layers\.0\.attention\.q_proj\.weight",
        ),
        (
            lambda: prune(FAMILIES["timm_swinv2"].build(), Method(granularity=Width()), 0.5),
            "needs a residual stream of one width",
        ),
    ],
)
def test_refused(act, message):
    with pytest.raises(UsageError, match=message):
        act()


def test_a_model_is_compiled_once_whatever_its_channels():
    torch._dynamo.reset()
    net = tiny_net("vit")
    method = Method(granularity=Width())
    masks = method.masks(select(net))
    graphs = CompileCounterWithBackend("eager")
    compiled = torch.compile(net.forward, backend=graphs, fullgraph=True)
    for sparsity in (0.0, 0.25, 0.5):
        update_masks(masks, method, sparsity)
        with torch.no_grad():
            found = compiled(pixel_values=IMAGES).logits
        torch.testing.assert_close(found, logits(net, IMAGES))
    assert graphs.frame_count == 1


def test_its_default_allocation_is_one_ranking():
    assert type(Method(granularity=Width()).allocation) is Global
