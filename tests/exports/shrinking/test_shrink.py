"""Dropping dead structure changes the size of a model and nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exports.small_nets import (
    BLOCKS,
    HEAD_DIM,
    HEADS,
    NEURONS,
    STREAM,
    dimensions,
    drop,
    images,
    linear,
    random_net,
)
from vitprune.exports.costs import count_parameters
from vitprune.exports.shrinking.shrink import shrink
from vitprune.exports.shrinking.shrinkage import widest, widths_of_blocks
from vitprune.exports.verify import logits
from vitprune.runs.shrink_report import ModelWidths

FAMILIES = ("vit", "deit", "vit_msn", "ijepa")

# ---- one structure at a time: what is dropped, exactly


def drop_head(net):
    for block, head in enumerate((0, 1, 0)):
        drop(net, block, "attn_out", dimensions([head]), dim=1)
    return ModelWidths(BLOCKS, 1, HEAD_DIM, NEURONS, STREAM)


def drop_head_by_its_rows(net):
    for block, head in enumerate((0, 1, 0)):
        for role in ("query", "key", "value"):
            drop(net, block, role, dimensions([head]), dim=0)
    return ModelWidths(BLOCKS, 1, HEAD_DIM, NEURONS, STREAM)


def drop_dimensions_of_heads(net):
    for block in range(BLOCKS):
        rows = [
            row for head in range(HEADS) for row in (head * HEAD_DIM + block, head * HEAD_DIM + 5)
        ]
        drop(net, block, "query", rows, dim=0, bias=True)
        drop(net, block, "value", [row + 1 for row in rows], dim=0)
    return ModelWidths(BLOCKS, HEADS, HEAD_DIM - 2, NEURONS, STREAM)


def drop_keys_with_a_bias(net):
    for block in range(BLOCKS):
        drop(net, block, "key", [0, HEAD_DIM + 3], dim=0)
        drop(net, block, "attn_out", [1, HEAD_DIM + 2], dim=1)
    return ModelWidths(BLOCKS, HEADS, HEAD_DIM - 1, NEURONS, STREAM)


def drop_neurons_by_their_rows(net):
    for block in range(BLOCKS):
        drop(net, block, "mlp_in", range(block, block + 5), dim=0)
    return ModelWidths(BLOCKS, HEADS, HEAD_DIM, NEURONS - 5, STREAM)


def drop_neurons_by_their_columns(net):
    for block in range(BLOCKS):
        drop(net, block, "mlp_out", range(block, block + 7), dim=1)
    return ModelWidths(BLOCKS, HEADS, HEAD_DIM, NEURONS - 7, STREAM)


def drop_a_block(net):
    for role in ("attn_out", "mlp_out"):
        drop(net, 1, role, range(STREAM), dim=0, bias=True)
    return ModelWidths(BLOCKS - 1, HEADS, HEAD_DIM, NEURONS, STREAM)


def drop_blocks_that_add_a_constant(net):
    for block in (0, 2):
        for role in ("attn_out", "mlp_out"):
            drop(net, block, role, range(STREAM), dim=0)
    return ModelWidths(BLOCKS - 2, HEADS, HEAD_DIM, NEURONS, STREAM)


def drop_nothing_for_a_dead_column(net):
    drop(net, 0, "query", [3], dim=1)
    drop(net, 1, "mlp_out", [2], dim=0)
    return ModelWidths(BLOCKS, HEADS, HEAD_DIM, NEURONS, STREAM)


def drop_nothing_for_a_query_with_a_bias(net):
    for block in range(BLOCKS):
        drop(net, block, "query", [0, HEAD_DIM], dim=0)
        drop(net, block, "value", [0, HEAD_DIM], dim=0)
    return ModelWidths(BLOCKS, HEADS, HEAD_DIM, NEURONS, STREAM)


CASES = [case for name, case in list(globals().items()) if name.startswith("drop_")]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_each_structure(case, family):
    net = random_net(family)
    expected = case(net)
    small = shrink(net)
    assert widest(small) == expected
    assert len(set(widths_of_blocks(small))) == 1
    assert small.config.num_hidden_layers == expected.blocks
    assert small.config.num_attention_heads == expected.heads
    assert small.config.intermediate_size == expected.neurons
    torch.testing.assert_close(logits(small, images()), logits(net, images()), rtol=0, atol=1e-10)
    assert (small is net) == (count_parameters(small) == count_parameters(net))


# ---- any zeros whatever

PIECES = st.lists(
    st.tuples(
        st.integers(0, BLOCKS - 1),
        st.sampled_from(["query", "key", "value", "attn_out", "mlp_in", "mlp_out"]),
        st.integers(0, 1),
        st.sets(st.integers(0, STREAM - 1), max_size=STREAM),
        st.booleans(),
    ),
    max_size=14,
)


def zero(net, pieces):
    for block, role, dim, index, bias in pieces:
        weight = linear(net, block, role).weight
        drop(
            net,
            block,
            role,
            [i for i in index if i < weight.shape[dim]],
            dim,
            bias=bias and dim == 0,
        )


@settings(max_examples=20, deadline=None)
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
    assert count_parameters(ragged) <= count_parameters(small) <= count_parameters(net)
    assert shrink(small) is small
    assert count_parameters(shrink(small, ragged=True)) == count_parameters(ragged)
    torch.testing.assert_close(
        logits(net, images()), expected, rtol=0, atol=0
    )  # the model itself stays as it is


@settings(max_examples=5, deadline=None)
@given(pieces=PIECES)
def test_any_zeros_in_float32(pieces):
    net = random_net().float()
    zero(net, pieces)
    small = shrink(net, ragged=True)
    assert {parameter.dtype for parameter in small.parameters()} == {torch.float32}
    torch.testing.assert_close(
        logits(small, images().float()), logits(net, images().float()), rtol=0, atol=1e-5
    )
