"""Dropping dead structure changes the size of a model and nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import tiny_net
from vitprune.errors import UsageError
from vitprune.export.shrink import shrink
from vitprune.export.shrinkage import count, describe, shrink_as_asked
from vitprune.export.verify import logits
from vitprune.model.anatomy.blocks import BLOCK_ROLES, NARROW_FAMILIES, find_blocks
from vitprune.model.anatomy.widths import Widths, read_widths

HEADS, HEAD_DIM, NEURONS, BLOCKS = 2, 8, 12, 3
STREAM = 16
SIZES = {
    "hidden_size": STREAM,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": HEADS,
    "intermediate_size": NEURONS,
}


def random_net(family="vit", **changes):
    """A net in which every parameter, biases and norms too, is some random number."""
    net = tiny_net(family, **{**SIZES, **changes}).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        parameter.data += 0.3 * torch.randn(
            parameter.shape, generator=generator, dtype=torch.double
        )
    return net


def images(count=3):
    return torch.randn(
        count, 3, 16, 16, dtype=torch.double, generator=torch.Generator().manual_seed(2)
    )


def drop(net, block, role, index, dim, bias=False):
    """Zero rows (dim 0) or columns (dim 1) of a weight."""
    module = find_blocks(net)[block].linear[role]
    module.weight.data.index_fill_(dim, torch.as_tensor(index, dtype=torch.long), 0)
    if bias and module.bias is not None:
        module.bias.data.index_fill_(0, torch.as_tensor(index, dtype=torch.long), 0)


def dimensions(heads):
    return [row for head in heads for row in range(head * HEAD_DIM, (head + 1) * HEAD_DIM)]


# ---- one structure at a time: what is dropped, exactly


def drop_head(net):
    for block, head in enumerate((0, 1, 0)):
        drop(net, block, "attn_out", dimensions([head]), dim=1)
    return Widths(1, HEAD_DIM, NEURONS), BLOCKS


def drop_head_by_its_rows(net):
    for block, head in enumerate((0, 1, 0)):
        for role in ("query", "key", "value"):
            drop(net, block, role, dimensions([head]), dim=0)
    return Widths(1, HEAD_DIM, NEURONS), BLOCKS


def drop_dimensions_of_heads(net):
    for block in range(BLOCKS):
        rows = [
            row for head in range(HEADS) for row in (head * HEAD_DIM + block, head * HEAD_DIM + 5)
        ]
        drop(net, block, "query", rows, dim=0, bias=True)
        drop(net, block, "value", [row + 1 for row in rows], dim=0)
    return Widths(HEADS, HEAD_DIM - 2, NEURONS), BLOCKS


def drop_keys_with_a_bias(net):
    for block in range(BLOCKS):
        drop(net, block, "key", [0, HEAD_DIM + 3], dim=0)
        drop(net, block, "attn_out", [1, HEAD_DIM + 2], dim=1)
    return Widths(HEADS, HEAD_DIM - 1, NEURONS), BLOCKS


def drop_neurons_by_their_rows(net):
    for block in range(BLOCKS):
        drop(net, block, "mlp_in", range(block, block + 5), dim=0)
    return Widths(HEADS, HEAD_DIM, NEURONS - 5), BLOCKS


def drop_neurons_by_their_columns(net):
    for block in range(BLOCKS):
        drop(net, block, "mlp_out", range(block, block + 7), dim=1)
    return Widths(HEADS, HEAD_DIM, NEURONS - 7), BLOCKS


def drop_a_block(net):
    for role in ("attn_out", "mlp_out"):
        drop(net, 1, role, range(STREAM), dim=0, bias=True)
    return Widths(HEADS, HEAD_DIM, NEURONS), BLOCKS - 1


def drop_blocks_that_add_a_constant(net):
    for block in (0, 2):
        for role in ("attn_out", "mlp_out"):
            drop(net, block, role, range(STREAM), dim=0)
    return Widths(HEADS, HEAD_DIM, NEURONS), BLOCKS - 2


def drop_nothing_for_a_dead_column(net):
    drop(net, 0, "query", [3], dim=1)
    drop(net, 1, "mlp_out", [2], dim=0)
    return Widths(HEADS, HEAD_DIM, NEURONS), BLOCKS


def drop_nothing_for_a_query_with_a_bias(net):
    for block in range(BLOCKS):
        drop(net, block, "query", [0, HEAD_DIM], dim=0)
        drop(net, block, "value", [0, HEAD_DIM], dim=0)
    return Widths(HEADS, HEAD_DIM, NEURONS), BLOCKS


CASES = [case for name, case in list(globals().items()) if name.startswith("drop_")]


@pytest.mark.parametrize("family", NARROW_FAMILIES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_each_structure(case, family):
    net = random_net(family)
    widths, blocks = case(net)
    small = shrink(net)
    assert (read_widths(small.config), small.config.num_hidden_layers) == (widths, blocks)
    for block in find_blocks(small):
        assert block.widths == widths
    torch.testing.assert_close(logits(small, images()), logits(net, images()), rtol=0, atol=1e-10)
    assert (small is net) == (count(small) == count(net))


# ---- any zeros whatever

PIECES = st.lists(
    st.tuples(
        st.integers(0, BLOCKS - 1),
        st.sampled_from(BLOCK_ROLES),
        st.integers(0, 1),
        st.sets(st.integers(0, STREAM - 1), max_size=STREAM),
        st.booleans(),
    ),
    max_size=14,
)


def zero(net, pieces):
    for block, role, dim, index, bias in pieces:
        weight = find_blocks(net)[block].linear[role].weight
        drop(
            net,
            block,
            role,
            [i for i in index if i < weight.shape[dim]],
            dim,
            bias=bias and dim == 0,
        )


@settings(max_examples=60, deadline=None)
@given(
    pieces=PIECES,
    family=st.sampled_from(["vit", "deit"]),
    activation=st.sampled_from(["gelu", "sigmoid"]),
)
def test_any_zeros(pieces, family, activation):
    net = random_net(family, hidden_act=activation, qkv_bias=activation == "gelu")
    zero(net, pieces)
    expected = logits(net, images())
    small, ragged = shrink(net), shrink(net, ragged=True)
    torch.testing.assert_close(logits(small, images()), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(logits(ragged, images()), expected, rtol=0, atol=1e-10)
    assert count(ragged) <= count(small) <= count(net)
    assert shrink(small) is small
    assert count(shrink(small, ragged=True)) == count(ragged)
    torch.testing.assert_close(
        logits(net, images()), expected, rtol=0, atol=0
    )  # the model itself stays as it is


@settings(max_examples=10, deadline=None)
@given(pieces=PIECES)
def test_any_zeros_in_float32(pieces):
    net = random_net().float()
    zero(net, pieces)
    small = shrink(net, ragged=True)
    assert {parameter.dtype for parameter in small.parameters()} == {torch.float32}
    torch.testing.assert_close(
        logits(small, images().float()), logits(net, images().float()), rtol=0, atol=1e-5
    )


# ---- what the report says


def test_what_is_dropped_and_what_stays_are_counted():
    net = random_net()
    drop(net, 0, "attn_out", dimensions([0]), dim=1)
    for block, neurons in enumerate((4, 6, 5)):
        drop(net, block, "mlp_in", range(neurons), dim=0, bias=True)
    drop(net, 2, "mlp_out", [3], dim=0)  # a channel of the residual stream
    find_blocks(net)[1].linear["key"].weight.data[0, 0] = 0
    summary = describe(net, shrink(net))
    neuron, head = 2 * STREAM + 1, 4 * STREAM * HEAD_DIM + 3 * HEAD_DIM
    assert summary["before"] == {"blocks": 3, "heads": 2, "head_dim": 8, "neurons": 12}
    assert summary["after"] == {"blocks": 3, "heads": 2, "head_dim": 8, "neurons": 8}
    assert [block["neurons"] for block in summary["blocks"]] == [8, 6, 7]
    assert [block["heads"] for block in summary["blocks"]] == [1, 2, 2]
    assert summary["dropped_parameters"] == 3 * 4 * neuron
    assert summary["dropped_by_load_pruned"] == 3 * neuron + head
    assert summary["stayed"] == {
        "residual_stream": 7,
        "uneven_widths": 3 * neuron + head,
        "single_weights": 1,
    }


def test_required_refuses_to_leave_structure_behind():
    def refuse(change, reason):
        net = random_net().float()
        change(net)
        with pytest.raises(UsageError, match=reason):
            shrink_as_asked(net, "required", images().float())

    refuse(
        lambda net: drop(net, 0, "mlp_out", [3], dim=0),
        "LayerNorm over fewer channels is another function",
    )
    refuse(lambda net: drop(net, 0, "mlp_in", [3], dim=0), "the same widths in all blocks")
    refuse(lambda net: None, "no whole head, dimension of a head, neuron or branch")
    net = random_net().float()
    drop_head(net)
    small, summary = shrink_as_asked(net, "required", images().float())
    assert summary["dropped_parameters"] == count(net) - count(small) > 0


def test_a_family_that_is_built_otherwise_is_refused():
    net = tiny_net("beit", **SIZES)
    with pytest.raises(UsageError, match="'beit' cannot be shrunk. Valid are vit, deit"):
        shrink(net)
    same, summary = shrink_as_asked(net, "auto", images().float())
    assert same is net
    assert "'beit' cannot be shrunk" in summary["reason"]
    assert {p.dtype for p in net.parameters()} == {torch.float32}
