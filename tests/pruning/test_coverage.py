"""The line that is printed about what is pruned and what is not."""

from torch import nn
from torch.nn.utils import parametrizations

from tests.conftest import tiny_net
from vitprune.pruning import LayerSelection
from vitprune.pruning.coverage import describe_coverage, find_unpruned


def line_of(net, trained=None, **selection):
    return describe_coverage(net, LayerSelection(**selection).select(net, None, trained), trained)


def test_all_of_a_model():
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 3, bias=False))
    assert line_of(net) == "prunable: 2 layers, 100.0% of the parameters"


def test_modules_of_other_kinds_are_named_with_their_shares():
    net = nn.ModuleDict(
        {
            "text": nn.ModuleDict({"embedding": nn.Embedding(20, 4), "lstm": nn.LSTM(4, 5)}),
            "fc": nn.Linear(20, 25),
            "norm": nn.LayerNorm(25),
            "attn": nn.MultiheadAttention(5, 1, add_bias_kv=True),
        }
    )
    parts = {"text.embedding": 80, "text.lstm": 180 + 40, "fc": 500, "attn": 75 + 25}
    vectors = 25 + 50 + 15 + 5
    bias_kv = 5
    total = sum(parts.values()) + vectors + 2 * bias_kv
    vectors -= 25  # the bias of fc
    assert line_of(net) == (
        f"prunable: 2 layers, {100 / total:.1%} of the parameters; not pruned: "
        f"fc (Linear, excluded by default) {525 / total:.1%}, "
        f"text (ModuleDict) {300 / total:.1%}, attn.bias_k (Parameter) {bias_kv / total:.1%}, "
        f"attn.bias_v (Parameter) {bias_kv / total:.1%}, norms and biases {vectors / total:.1%}"
    )


def test_reasons_that_are_not_obvious_are_given():
    net = nn.ModuleDict(
        {
            "net": nn.Linear(4, 100, bias=False),
            "teacher": nn.Sequential(nn.Linear(4, 50), nn.BatchNorm1d(50)),
            "backbone": nn.Linear(4, 20).requires_grad_(False),
            "scaled": parametrizations.weight_norm(nn.Linear(4, 10)),
            "classifier": nn.Linear(4, 5),
            "attention": nn.MultiheadAttention(2, 1, bias=False),
        }
    )
    trained = set(net.parameters()) - set(net["teacher"].parameters())
    line = line_of(net, trained)
    positions = [
        line.index(part)
        for part in (
            "teacher (Sequential, no optimizer trains it)",
            "backbone (Linear, frozen)",
            "scaled (Linear, parametrized by WeightNorm)",
            "classifier (Linear, excluded by default)",
        )
    ]
    assert positions == sorted(positions)


def test_the_largest_five_are_named_and_the_others_counted():
    net = nn.ModuleList([nn.Linear(4, 4), *(nn.Embedding(4, width) for width in range(1, 8))])
    line = line_of(net)
    assert all(f"{number} (Embedding)" in line for number in range(3, 8))
    assert f"2 more {(4 + 8) / 132:.1%}" in line
    assert "1 (Embedding)" not in line


def test_the_same_parts_of_all_blocks_are_one_entry():
    line = line_of(tiny_net(), roles=["query", "key", "value", "attn_out"])
    assert "vit.layers.*.mlp (2 ViTMLP) 35.2%, vit.embeddings (ViTEmbeddings" in line


def test_tied_parameters_count_once_and_are_named():
    net = nn.ModuleDict({"tokens": nn.Embedding(6, 4), "out": nn.Linear(4, 6, bias=False)})
    net["out"].weight = net["tokens"].weight
    assert line_of(net) == (
        "prunable: 1 layer, 100.0% of the parameters (out.weight is also tokens.weight)"
    )


def test_every_parameter_is_pruned_or_listed_once(family):
    net = tiny_net(family)
    layers = LayerSelection().select(net)
    rest = [parameter for found in find_unpruned(net, layers) for parameter in found.parameters]
    assert len(rest) == len(set(rest))
    assert set(rest) | {layer.weight for layer in layers} == set(net.parameters())


def test_shares_of_hardly_anything_are_not_zero():
    net = nn.ModuleList([nn.Linear(100, 100), nn.Embedding(1, 1)])
    assert line_of(net).endswith("1 (Embedding) <0.1%, norms and biases 1.0%")
