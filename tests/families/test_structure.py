"""Structure in every family: heads, neurons, dimensions of heads and branches as one group."""

from pathlib import Path

import torch
from torch import Tensor, nn

from tests.families.coupling import check_coupling
from tests.families.expectations import expected, families
from tests.families.families import Family, logits
from tests.families.parts import HEAD_DIM, attention_outputs, mlp_outputs
from tests.families.runs import net_of_run
from vitprune import prune
from vitprune.pruning import Branch, Combined, Granularity, Head, HeadDim, Method, Neuron, Width

SPARSITY = 0.5


def pruned(family: Family, granularity: Granularity, folder: Path) -> nn.Module:
    """Return a model with half of its groups pruned."""
    net = net_of_run(family, folder)
    prune(net, Method(granularity=granularity), SPARSITY)
    assert logits(net, family.images()).isfinite().all()
    return net


def zero_columns(layer: nn.Linear) -> Tensor:
    """Return which inputs of a layer have no weights but zeros, (in,)."""
    return (layer.weight == 0).all(dim=0)


def check_heads(net: nn.Module) -> None:
    outputs = attention_outputs(net)
    assert outputs
    for layer in outputs:
        columns = zero_columns(layer).view(-1, HEAD_DIM)  # (heads, dimensions)
        heads = columns.all(dim=1)
        assert torch.equal(columns.any(dim=1), heads)
        assert heads.sum() == len(heads) / 2


def check_neurons(net: nn.Module) -> None:
    outputs = mlp_outputs(net)
    assert outputs
    for layer in outputs:
        assert zero_columns(layer).sum() == layer.in_features // 2


@families("head")
def test_heads(family, tmp_path):
    with expected("head", family):
        check_heads(pruned(family, Head(), tmp_path))
        check_coupling(net_of_run(family, tmp_path), family.images(), Head())


@families("neuron")
def test_neurons(family, tmp_path):
    with expected("neuron", family):
        check_neurons(pruned(family, Neuron(), tmp_path))
        check_coupling(net_of_run(family, tmp_path), family.images(), Neuron())


@families("head_dim")
def test_dimensions_of_heads(family, tmp_path):
    with expected("head_dim", family):
        net = pruned(family, HeadDim(), tmp_path)
        outputs = attention_outputs(net)
        assert outputs
        for layer in outputs:
            columns = zero_columns(layer).view(-1, HEAD_DIM)
            assert (columns.sum(dim=1) == HEAD_DIM / 2).all()
        check_coupling(net_of_run(family, tmp_path), family.images(), HeadDim())


@families("branch")
def test_branches(family, tmp_path):
    with expected("branch", family):
        net = pruned(family, Branch(), tmp_path)
        outputs = [*attention_outputs(net), *mlp_outputs(net)]
        removed = [layer for layer in outputs if not layer.weight.any()]
        kept = [layer for layer in outputs if layer.weight.all()]
        assert removed
        assert len(removed) + len(kept) == len(outputs)
        assert not any(layer.bias.any() for layer in removed)


@families("width")
def test_channels(family, tmp_path):
    with expected("width", family):
        net, images = net_of_run(family, tmp_path), family.images()
        method = Method(granularity=Width())
        prune(net, method, SPARSITY, [{"pixel_values": images, "labels": family.labels()}])
        rows = [
            (layer.weight == 0).all(dim=1) for layer in (*attention_outputs(net), *mlp_outputs(net))
        ]
        assert rows
        assert all(torch.equal(each, rows[0]) for each in rows)
        assert rows[0].sum() == len(rows[0]) / 2
        assert logits(net, images).isfinite().all()


@families("combined")
def test_heads_and_neurons_together(family, tmp_path):
    with expected("combined", family):
        net = pruned(family, Combined([Head(), Neuron()]), tmp_path)
        check_heads(net)
        check_neurons(net)
