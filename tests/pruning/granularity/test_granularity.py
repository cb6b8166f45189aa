"""The contract of every granularity."""

import pytest
import torch
from torch import nn

from tests.conftest import tiny_net
from tests.pruning.axes import GRANULARITIES, name
from tests.pruning.layers import masked_layers
from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning import (
    ERK,
    LAMP,
    Branch,
    Combined,
    Element,
    Global,
    Head,
    LayerSelection,
    Masks,
    Method,
    Neuron,
    NofM,
    Tile,
    Uniform,
)
from vitprune.pruning.granularity.coupled import ATTENTION
from vitprune.pruning.update import update_masks


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=name)
class TestEveryGranularity:
    def test_every_weight_is_in_exactly_one_group(self, granularity, family):
        masks = masked_layers(tiny_net(family), granularity)
        seen = {layer.name: torch.zeros(layer.shape) for layer in masks.layers}
        for grouping in granularity.groupings(masks.layers):
            groups = grouping.groups
            few = groups <= 99
            for group in range(groups) if few else (0, groups // 2, groups - 1):
                decision = torch.zeros(groups, dtype=torch.bool)
                decision[group] = True
                with masks.changing():
                    grouping.write(masks, decision, "replace")
                kept = sum(int(masks[layer.weight].sum()) for layer in grouping.layers)
                assert kept == grouping.group_size
                if few:
                    for layer in grouping.layers:
                        seen[layer.name] += masks[layer.weight]
                assert torch.equal(grouping.kept(masks), decision)
            if few:
                assert all(seen[layer.name].eq(1).all() for layer in grouping.layers)

    def test_a_group_scores_the_sum_of_its_members(self, granularity):
        masks = masked_layers(tiny_net(), granularity)
        for grouping in granularity.groupings(masks.layers):
            scores = [torch.rand(layer.shape) for layer in grouping.layers]
            groups = grouping.reduce(scores, "sum")
            decision = torch.zeros(grouping.groups, dtype=torch.bool)
            decision[grouping.groups // 2] = True
            with masks.changing():
                grouping.write(masks, decision, "replace")
            members = [
                score[masks[layer.weight]]
                for score, layer in zip(scores, grouping.layers, strict=True)
            ]
            assert groups[grouping.groups // 2] == pytest.approx(
                torch.cat(members).sum().item(), rel=1e-5
            )
            assert grouping.reduce(scores, "max")[grouping.groups // 2] == torch.cat(members).max()
            assert grouping.reduce(scores, "square")[grouping.groups // 2] == pytest.approx(
                torch.cat(members).sum().item() ** 2, rel=1e-5
            )


@pytest.mark.parametrize("granularity", [Element(), Tile(2, 2), NofM(2, 4)], ids=repr)
def test_kernels_in_another_memory_order_are_pruned_alike(granularity):
    kept = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        layer = nn.Conv2d(4, 8, 4).to(memory_format=memory_format)
        masks = Masks([Layer("patches", layer, "patch_embed", None)])
        update_masks(masks, Method(granularity=granularity), 0.5)
        assert layer.weight.is_contiguous(memory_format=memory_format)
        kept.append(masks[layer.weight])
    assert torch.equal(*kept)


def toy_layer(out=6, inputs=6, role="query"):
    return Layer("toy", nn.Linear(inputs, out), role, 0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NofM(4, 4), "1 <= n < m"),
        (lambda: Tile(0, 4), "positive"),
        (lambda: Neuron(round_to=0), "at least 1"),
        (lambda: NofM(2, 4).groupings([toy_layer()]), "does not divide the 6 inputs of toy"),
        (lambda: Tile(4, 2).groupings([toy_layer()]), "does not divide the 6 x 6 weights of toy"),
        (lambda: NofM(2, 4).check_sparsity(0.8), "has a final sparsity of 0.5, not 0.8"),
        (
            lambda: Method(granularity=Branch(), allocation=Uniform()),
            "set pruning.allocation to Global",
        ),
        (
            lambda: Method(granularity=Combined([Branch()]), allocation=ERK()),
            "set pruning.allocation to Global",
        ),
        (
            lambda: Method(granularity=Branch(), allocation=Global(normalize=True)),
            "neither normalize nor min_density",
        ),
        (
            lambda: Method(granularity=Branch(), allocation=Global(min_density=0.1)),
            "neither normalize nor min_density",
        ),
        (
            lambda: Method(granularity=Branch(), allocation=LAMP()),
            "set pruning.allocation to Global",
        ),
        (
            lambda: Neuron(round_to=24).groupings(
                LayerSelection(roles=["mlp_in", "mlp_out"]).select(tiny_net())
            ),
            "24.*64 groups",
        ),
        (
            lambda: Neuron().groupings(LayerSelection(roles=["mlp_in"]).select(tiny_net())),
            "block 0 lacks mlp_out",
        ),
        (lambda: Head().groupings(LayerSelection().select(tiny_net())), "fc1 has the role mlp_in"),
        (
            lambda: Head().groupings(
                [toy_layer(role=r) for r in ("query", "key", "value", "attn_out")]
            ),
            "toy has none. Exclude it",
        ),
        (lambda: Combined([Element(), Head()]), "that prune structure"),
        (lambda: Combined([Head(), Head(round_to=2)]), "each once"),
        (
            lambda: Method(granularity=Combined([Head(), Neuron()])).check(
                LayerSelection().select(tiny_net(), ATTENTION)
            ),
            "Neuron.*mlp_in, mlp_gate, mlp_out, and no such layer is selected",
        ),
    ],
)
def test_impossible_settings_say_why(build, message):
    with pytest.raises(UsageError, match=message):
        build()
