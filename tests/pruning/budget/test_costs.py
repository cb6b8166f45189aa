"""What a model costs, by the shares of its dimensions that are kept."""

import pytest

from vitprune.model.anatomy.records import Attention, Dimension, Rows
from vitprune.pruning.budget.costs import Sum, Term

ATTENTION = Attention(
    name="attn",
    block=0,
    query=Rows("attn.q"),
    key=Rows("attn.k"),
    value=Rows("attn.v"),
    output="attn.o",
    heads=4,
)
HEADS = Dimension("heads", ATTENTION)
VALUE, QUERY_KEY = Dimension("value", ATTENTION), Dimension("query_key", ATTENTION)
WIDTH = Dimension("width")


def test_a_term_is_proportional_to_all_of_its_dimensions():
    costs = Sum((Term(100, ((HEADS,), (WIDTH,))), Term(7)))
    assert costs.dense == 107
    assert costs.at({HEADS: 0.5}) == 57
    assert costs.at({HEADS: 0.5, WIDTH: 0.5}) == 32
    assert costs.removed({HEADS: 0.0}) == pytest.approx(100 / 107)


def test_heads_are_as_wide_as_their_values_or_queries_need():
    costs = Sum((Term(100, (VALUE.as_wide,)),))
    assert costs.at({VALUE: 0.5}) == 100
    assert costs.at({VALUE: 0.5, QUERY_KEY: 0.75}) == 75
    assert costs.saved_by(VALUE) == costs.saved_by(QUERY_KEY) == 50
