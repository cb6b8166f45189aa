"""FLOPs by hand."""

from tests.conftest import tiny_net
from vitprune.exports.costs import count_flops, count_parameters


def test_flops_include_attention():
    tokens, width, neurons, patches, classes = 5, 32, 64, 4, 10
    linear = 2 * tokens * width * (4 * width + 2 * neurons)
    attention = 2 * 2 * tokens * tokens * width
    ends = 2 * patches * width * 3 * 8 * 8 + 2 * width * classes
    assert count_flops(tiny_net(), (3, 16, 16)) == 2 * (linear + attention) + ends


def test_parameters():
    tokens, width, neurons, classes = 5, 32, 64, 10
    block = 4 * (width * width + width) + 2 * width * neurons + neurons + width + 4 * width
    embeddings = width * 3 * 8 * 8 + width + width + tokens * width
    head = 2 * width + width * classes + classes
    assert count_parameters(tiny_net()) == 2 * block + embeddings + head
