"""Token merging: the paper's algorithm, in every place where a model computes."""

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig

from tests.model.small_models import SWIN, VIT
from vitprune.errors import UsageError
from vitprune.exports.shrinking.shrink import shrink
from vitprune.model import ViTClassifier
from vitprune.model.loading import net_from_config
from vitprune.model.token_merging import match, merge, merge_tokens, merging_paused


def small(family="vit", **changes):
    torch.manual_seed(0)
    config = {**VIT, "num_labels": 5, "num_hidden_layers": 3, **changes}
    return net_from_config(AutoConfig.for_model(family, **config)).eval()


def merging(net, merged):
    net = copy.deepcopy(net)
    merge_tokens(net, merged)
    return net


def images(count=3, side=32):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def naive(net, pixels, merged, special):
    """Compute a model with merged tokens, one image and one token at a time."""
    model = getattr(net, net.base_model_prefix)
    logits = []
    for image in pixels:
        tokens = list(model.embeddings(image[None])[0])
        sizes = [1.0] * len(tokens)
        for block in model.layers:
            attention, stream = block.attention, torch.stack(tokens)
            normed = block.layernorm_before(stream)
            heads = [
                layer(normed).unflatten(-1, (attention.num_attention_heads, -1)).transpose(0, 1)
                for layer in (attention.q_proj, attention.k_proj, attention.v_proj)
            ]
            scores = heads[0] @ heads[1].transpose(1, 2) * attention.scaling
            weights = torch.tensor(sizes) * scores.exp()  # a token of size 2 counts twice
            mixed = (weights / weights.sum(-1, keepdim=True)) @ heads[2]
            tokens = list(stream + attention.o_proj(mixed.transpose(0, 1).flatten(1)))
            keys = list(normed @ attention.k_proj.weight.T)
            tokens, sizes = naive_merge(tokens, sizes, keys, merged, special)
            stream = torch.stack(tokens)
            tokens = list(stream + block.mlp(block.layernorm_after(stream)))
        normed = model.layernorm(torch.stack(tokens))
        logits.append(net.classifier(normed[0]))
    return torch.stack(logits)


def naive_merge(tokens, sizes, keys, merged, special):
    evens, odds = list(range(0, len(tokens), 2)), list(range(1, len(tokens), 2))
    pairs = []
    for a in evens[1:]:
        near = {b: float(torch.cosine_similarity(keys[a], keys[b], dim=0)) for b in odds}
        if special == 2:
            del near[1]
        best = max(near, key=near.get)
        pairs.append((near[best], a, best))
    chosen = sorted(pairs, reverse=True)[: min(merged, (len(tokens) - special) // 2)]
    sums = {b: (tokens[b] * sizes[b], sizes[b]) for b in odds}
    for _, a, b in chosen:
        sums[b] = (sums[b][0] + tokens[a] * sizes[a], sums[b][1] + sizes[a])
    left = {
        a: (tokens[a] * sizes[a], sizes[a]) for a in evens if a not in [a for _, a, _ in chosen]
    }
    order = [*left, *sums] if special == 1 else [0, 1, *list(left)[1:], *list(sums)[1:]]
    both = {**left, **sums}
    return [both[i][0] / both[i][1] for i in order], [both[i][1] for i in order]


@pytest.mark.parametrize(("family", "special"), [("vit", 1), ("deit", 2)])
@pytest.mark.parametrize("merged", [1, 3, 100])
@torch.no_grad()
def test_a_model_computes_what_the_paper_says(family, special, merged):
    net = small(family).double()
    pixels = images().double()
    expected = naive(net, pixels, merged, special)
    torch.testing.assert_close(merging(net, merged)(pixels).logits, expected, rtol=0, atol=1e-10)


def test_a_hand_written_case():
    keys = torch.tensor([[[1.0, 0], [0, 1], [0, 2], [1, 0.1], [3, 0]]])
    staying, sources, targets = match(keys, 1, special=1)
    assert (staying.tolist(), sources.tolist(), targets.tolist()) == ([[0, 2]], [[1]], [[0]])
    tokens = torch.tensor([[[9.0], [1], [4], [7], [8]]])
    sizes = torch.tensor([[[1.0], [1], [2], [1], [1]]])
    tokens, sizes = merge(tokens, sizes, staying, sources, targets, special=1)
    assert tokens.flatten().tolist() == [9, 8, 3, 7]
    assert sizes.flatten().tolist() == [1, 1, 3, 1]


def test_merging_saves_flops_and_without_it_nothing_changes():
    net = small(num_hidden_layers=4)

    def flops(net):
        with FlopCounterMode(display=False) as counter:
            net(images(1))
        return counter.get_total_flops()

    assert flops(merging(net, 1)) > flops(merging(net, 3))
    assert flops(merging(net, 3)) < 0.8 * flops(net)


@torch.no_grad()
def test_a_pause_computes_the_model_without_merging():
    net, pixels = small(), images()
    merged = merging(net, 3)
    with merging_paused(merged):
        torch.testing.assert_close(merged(pixels).logits, net(pixels).logits)
    assert not torch.allclose(merged(pixels).logits, net(pixels).logits)


def test_every_token_gets_gradients():
    tokens = torch.rand(2, 9, 4, dtype=torch.float64, requires_grad=True)
    sizes = torch.rand(2, 9, 1, dtype=torch.float64) + 1
    places = match(torch.rand(2, 9, 3), 3, special=1)
    assert torch.autograd.gradcheck(
        lambda tokens: merge(tokens, sizes, *places, special=1)[0], tokens
    )


def test_gradient_checkpointing_changes_nothing():
    gradients = []
    for checkpointing in (False, True):
        model = ViTClassifier(
            architecture={"model_type": "vit", **VIT},
            labels=["a", "b"],
            token_merging=3,
            gradient_checkpointing=checkpointing,
        )
        model.load_state_dict(
            {
                name: torch.full_like(value, 0.01).normal_(
                    generator=torch.Generator().manual_seed(3)
                )
                if value.is_floating_point()
                else value
                for name, value in model.state_dict().items()
            }
        )
        model.net.train()(images()).logits.square().sum().backward()
        gradients.append([p.grad for p in model.net.parameters() if p.grad is not None])
    assert len(gradients[0]) > 20
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
def test_removed_heads_and_dimensions_do_not_change_what_is_merged():
    net = small(num_attention_heads=4).double()
    for layer in net.vit.layers:
        attention = layer.attention
        for name in ("q_proj", "k_proj", "v_proj"):
            projection = getattr(attention, name)
            projection.bias.normal_()
            for rows in (slice(0, 4), slice(5, 6), slice(8, 9), slice(14, 15)):
                projection.weight[rows] = 0
                projection.bias[rows] = 0
        attention.o_proj.weight[:, [0, 1, 2, 3, 5, 8, 14]] = 0
        layer.mlp.fc1.weight[3:9] = 0
        layer.mlp.fc1.bias[3:9] = 0
        layer.mlp.fc2.weight[:, 3:9] = 0
    small_net = shrink(net, ragged=True)
    assert sum(p.numel() for p in small_net.parameters()) < sum(p.numel() for p in net.parameters())
    pixels = images().double()
    torch.testing.assert_close(
        merging(small_net, 4)(pixels).logits, merging(net, 4)(pixels).logits, rtol=0, atol=1e-10
    )


@pytest.mark.parametrize(
    ("family", "config", "merged", "message"),
    [
        ("swin", {**SWIN, "image_size": 32}, 2, "supports models of the types vit, deit .* a swin"),
        ("vit", VIT, -1, "must be at least 1, or 0 for none, not -1"),
    ],
)
def test_other_models_and_numbers_are_refused(family, config, merged, message):
    with pytest.raises(UsageError, match=message):
        ViTClassifier(
            architecture={"model_type": family, **config}, labels=["a", "b"], token_merging=merged
        )


def test_a_compiled_model_merges_the_same_tokens():
    net = small()
    merged = merging(net, 3)
    compiled = merging(net, 3)
    compiled.compile(fullgraph=True, backend="eager")
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(compiled(images()).logits, merged(images()).logits)
