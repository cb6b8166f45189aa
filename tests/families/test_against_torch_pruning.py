"""Torch-Pruning, which traces a model, finds the same groups as the records of its structure."""

import pytest

from tests.families.families import BLOCK_FAMILIES
from vitprune.model.anatomy.layers import find_structure
from vitprune.model.anatomy.records import Attention, Branch, Mlp

pruning = pytest.importorskip("torch_pruning")

INDEX = 1
FAMILIES = [
    pytest.param(family, id=family.name)
    for family in BLOCK_FAMILIES
    # not traced: the adapter of NaFlex models, the tokens that DINOv3 splits off, and in EVA-02
    # both kinds of branches (see below)
    if family.name not in ("siglip2", "dinov3", "dinov3_gated", "timm_eva02")
]
# Torch-Pruning 1.6 does not trace a fused weight whose bias is added outside of it.
WITHOUT_ATTENTION = ("timm_dinov3", "timm_dinov3_swiglu", "timm_beit", "timm_swinv2")


def expected(branch: Branch, widths: dict[str, int]) -> set[tuple[str, str, int]]:
    """Return the members of the group of one value or neuron: layer, side and index."""
    if isinstance(branch, Attention):
        rows = (branch.query, branch.key, branch.value)
        output = branch.output
    else:
        rows = (branch.up, branch.gate) if branch.gate else (branch.up,)
        output = branch.down
    inputs = {
        (part.layer, "out", part.part * widths[part.layer] // part.parts + INDEX) for part in rows
    }
    return {*inputs, (output, "in", INDEX)}


def has_fused_gate(branch: Branch) -> bool:
    """Return whether Torch-Pruning 1.6 takes the two halves of a layer of this MLP for one."""
    return isinstance(branch, Mlp) and branch.gate is not None and branch.gate.parts > 1


def side_of(member) -> str:
    return "out" if "out_channels" in member.handler.__name__ else "in"


@pytest.mark.filterwarnings("ignore")  # of tracing
@pytest.mark.parametrize("family", FAMILIES)
def test_a_value_and_a_neuron_reach_the_same_layers(family):
    net = family.build().requires_grad_()
    structure = find_structure(net)
    modules = {layer.name: layer.module for layer in structure.layers}
    widths = {layer.name: layer.shape[0] for layer in structure.layers}
    names = {id(module): name for name, module in modules.items()}
    graph = pruning.DependencyGraph().build_dependency(
        net, family.images(1), output_transform=lambda outputs: outputs.logits.sum(), verbose=False
    )
    blocks = [branch for branch in structure.branches if branch.block is not None]
    branches = [branch for branch in blocks if not has_fused_gate(branch)]
    if family.name in WITHOUT_ATTENTION:
        branches = [branch for branch in branches if isinstance(branch, Mlp)]
    for branch in branches:
        want = expected(branch, widths)
        layer, _, row = min(member for member in want if member[1] == "out")
        group = graph.get_pruning_group(
            modules[layer], pruning.prune_linear_out_channels, idxs=[row]
        )
        found = {
            (names[id(member.target.module)], side_of(member), index)
            for member, indices in group
            if id(member.target.module) in names
            for index in indices
        }
        # a bias for each pair of positions and each head goes with the head, at its own index
        assert {member for member in found if "bias" not in member[0]} == want
