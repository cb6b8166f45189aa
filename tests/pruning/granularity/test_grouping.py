"""Groups of small matrices, with the expected masks written out."""

import pytest
import torch

from tests.pruning.layers import kept, layer_of
from vitprune.pruning import (
    Column,
    Element,
    Global,
    Head,
    HeadDim,
    Masks,
    Method,
    Neuron,
    NofM,
    Row,
    Tile,
)
from vitprune.pruning.granularity.tied import tie
from vitprune.pruning.update import update_masks

MATRIX = [
    [4, 1, 8, 9],
    [2, 7, 3, 1],
    [5, 5, 5, 5],
    [9, 1, 1, 9],
]
EXPECTED = {
    # the eight smallest; of equal ones the first
    "Element": (
        Element(),
        [
            [0, 0, 1, 1],
            [0, 1, 0, 0],
            [0, 1, 1, 1],
            [1, 0, 0, 1],
        ],
    ),
    # sums 22, 13, 20, 20: of equal rows the first
    "Row": (
        Row(),
        [
            [1, 1, 1, 1],
            [0, 0, 0, 0],
            [0, 0, 0, 0],
            [1, 1, 1, 1],
        ],
    ),
    # sums 20, 14, 17, 24
    "Column": (
        Column(),
        [
            [1, 0, 0, 1],
            [1, 0, 0, 1],
            [1, 0, 0, 1],
            [1, 0, 0, 1],
        ],
    ),
    # sums 14, 21 above 20, 20: of equal tiles the first
    "Tile": (
        Tile(2, 2),
        [
            [0, 0, 1, 1],
            [0, 0, 1, 1],
            [0, 0, 1, 1],
            [0, 0, 1, 1],
        ],
    ),
    # two of every four consecutive inputs; of equal ones the first are pruned
    "NofM": (
        NofM(2, 4),
        [
            [0, 0, 1, 1],
            [0, 1, 1, 0],
            [0, 0, 1, 1],
            [1, 0, 0, 1],
        ],
    ),
}


@pytest.mark.parametrize("key", EXPECTED)
def test_half_of_a_matrix_is_pruned(key):
    granularity, expected = EXPECTED[key]
    masks = Masks([layer := layer_of(MATRIX)])
    update_masks(masks, Method(granularity=granularity), 0.5)
    assert kept(masks, layer) == expected


def test_a_quarter_of_the_pattern_is_pruned_in_an_earlier_round():
    """The four smallest weights that the complete pattern prunes, too."""
    masks = Masks([layer := layer_of(MATRIX)])
    update_masks(masks, Method(granularity=NofM(2, 4)), 0.25)
    assert kept(masks, layer) == [
        [1, 0, 1, 1],
        [1, 1, 1, 0],
        [1, 1, 1, 1],
        [1, 0, 0, 1],
    ]


def test_one_of_four_is_kept():
    layer = layer_of([[4, 1, 8, 9, 1, 2, 3, 3], [2, 7, 3, 1, 0.5, 0.4, 0.3, 0.2]])
    masks = Masks([layer])
    update_masks(masks, Method(granularity=NofM(1, 4)), 0.75)
    assert kept(masks, layer) == [[0, 0, 0, 1, 0, 0, 0, 1], [0, 1, 0, 0, 1, 0, 0, 0]]


def test_a_neuron_is_scored_by_its_row_and_its_column():
    mlp_in = layer_of([[1, 1], [3, 3], [2, 2], [1, 2]], "mlp_in", "mlp_in", block=0)
    mlp_out = layer_of([[9, 1, 1, 4], [9, 1, 1, 4]], "mlp_out", "mlp_out", block=0)
    # sums 2 + 18, 6 + 2, 4 + 2, 3 + 8
    masks = Masks([mlp_in, mlp_out])
    update_masks(masks, Method(granularity=Neuron()), 0.5)
    assert kept(masks, mlp_in) == [[1, 1], [0, 0], [0, 0], [1, 1]]
    assert kept(masks, mlp_out) == [[1, 0, 0, 1], [1, 0, 0, 1]]


def attention(query, key, value, attn_out, prefix=""):
    matrices = {"query": query, "key": key, "value": value, "attn_out": attn_out}
    return [
        layer_of(matrix, f"{prefix}{role}", role, block=0, heads=2)
        for role, matrix in matrices.items()
    ]


def test_a_head_is_scored_by_three_rows_and_a_column():
    rows = [[1, 1, 1, 1], [1, 1, 1, 1], [2, 2, 2, 2], [2, 2, 2, 2]]
    layers = attention(rows, rows, rows, [[9, 9, 1, 1]] * 4)
    masks = Masks(layers)
    # first head 3 * 8 + 72, second head 3 * 16 + 8
    update_masks(masks, Method(granularity=Head()), 0.5)
    for layer in layers[:3]:
        assert kept(masks, layer) == [[1] * 4, [1] * 4, [0] * 4, [0] * 4]
    assert kept(masks, layers[3]) == [[1, 1, 0, 0]] * 4


def test_every_head_has_its_own_ranking_of_dimensions():
    """Query and key lose the same dimensions, value and attn_out others."""
    ascending = [[1] * 4, [2] * 4, [8] * 4, [9] * 4]
    masks = Masks(attention(ascending, [[5] * 4] * 4, ascending, [[9, 1, 1, 9]] * 4))
    # query and key: 24, 28 | 52, 56; value and attn_out: 40, 12 | 36, 72
    update_masks(masks, Method(granularity=HeadDim()), 0.5)
    query, key, value, attn_out = (kept(masks, layer) for layer in masks.layers)
    assert query == key == [[0] * 4, [1] * 4, [0] * 4, [1] * 4]
    assert value == [[1] * 4, [0] * 4, [0] * 4, [1] * 4]
    assert attn_out == [[1, 0, 0, 1]] * 4


def test_tied_groupings_lose_as_many():
    """In one ranking over all layers the first MLP would lose both of its neurons."""
    layers = []
    for block, factor in enumerate((1, 100)):
        rows = [[factor, factor], [2 * factor, 2 * factor]]
        columns = [[factor, 2 * factor], [factor, 2 * factor]]
        layers.append(layer_of(rows, f"{block}.mlp_in", "mlp_in", block))
        layers.append(layer_of(columns, f"{block}.mlp_out", "mlp_out", block))
    masks = Masks(layers)
    update_masks(masks, Method(granularity=Neuron(loadable=True), allocation=Global()), 0.5)
    for mlp_in, mlp_out in (layers[:2], layers[2:]):
        assert kept(masks, mlp_in) == [[0, 0], [1, 1]]
        assert kept(masks, mlp_out) == [[0, 1], [0, 1]]


def test_groups_reduce_their_scores():
    grouping = Row().groupings([layer := layer_of(MATRIX)])[0]
    assert grouping.groups == grouping.group_size == 4
    scores = [layer.weight.detach() - 4]
    assert grouping.reduce(scores, "sum").tolist() == [6, -3, 4, 4]
    assert grouping.reduce(scores, "max").tolist() == [5, 3, 1, 5]
    assert grouping.reduce(scores, "first").tolist() == [0, -2, 1, 5]
    assert grouping.reduce(scores, "square").tolist() == [36, 9, 16, 16]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("prune", [[1, 0], [0, 0], [0, 0]]),
        ("regrow", [[1, 1], [1, 1], [1, 1]]),
        ("replace", [[1, 1], [0, 0], [1, 1]]),
    ],
)
def test_a_decision_prunes_regrows_or_does_both(change, expected):
    masks = Masks([layer := layer_of([[1, 0], [2, 3], [0, 0]])])
    grouping = Row().groupings([layer])[0]
    assert grouping.remaining(masks).tolist() == [1, 2, 0]
    assert grouping.kept(masks).tolist() == [True, True, False]
    with masks.changing():
        grouping.write(masks, torch.tensor([True, False, True]), change)
    assert kept(masks, layer) == expected


def test_increments_of_pools_ties_and_multiples():
    layers = [
        layer for prefix in ("0.", "1.") for layer in attention(*[[[1.0] * 8] * 8] * 4, prefix)
    ]
    one = tie(HeadDim(round_to=2, loadable=True).groupings(layers))
    assert len(one) == 1
    assert len(one[0].groupings) == 4
    assert one[0].increments == 2  # of four dimensions in each head, two at a time
    assert one[0].groups_per_increment == 4 * 2 * 2  # groupings, heads, dimensions
    assert one[0].increment_size == 16 * 16  # groups of a row and a row, or a row and a column
    assert one[0].weights == 8 * 64
    assert one[0].prunable == 1  # two dimensions remain in each head
    alone = tie(HeadDim().groupings(layers))
    assert [(tied.increments, tied.prunable) for tied in alone] == [(4, 3)] * 4
