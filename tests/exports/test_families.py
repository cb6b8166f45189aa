"""Shrinking in other families: removed structure changes no logit, and who loads the result."""

import pytest
import timm
import torch
from transformers import AutoModelForImageClassification

from tests.families.expectations import is_plain, refusal
from tests.families.families import BLOCK_FAMILIES, FAMILIES, logits
from vitprune import export, load_pruned, prune
from vitprune.exports.costs import count_parameters
from vitprune.exports.exported import Exported
from vitprune.exports.formats.onnx import ONNX
from vitprune.exports.formats.pt2 import Pt2
from vitprune.exports.shrinking.parts import output_of
from vitprune.exports.shrinking.prospects import find_prospects
from vitprune.exports.shrinking.shrink import shrink
from vitprune.model.anatomy.layers import find_structure
from vitprune.model.anatomy.records import Attention
from vitprune.model.unused import freeze_unused
from vitprune.pruning import Combined, Global, Head, Method, Neuron
from vitprune.runs.run_folder import ExportFolder

ALL = [family for family in BLOCK_FAMILIES if family.name != "siglip2"]
FIXED_ATTENTION = {"timm_dinov3", "timm_dinov3_swiglu", "timm_eva02", "timm_eva02_base"} | {
    "timm_beit",
    "timm_swinv2",
    "timm_siglip",  # of its pooling head
}


def why_not_shrinkable(net, images=None, **kinds):
    """Return what fit says before training."""
    return find_prospects(net, images, **kinds).text


def halve(net, *, heads=True, neurons=True):
    """Zero every second head and neuron, as the output layers read them."""
    structure = find_structure(net)
    layers = {layer.name: layer for layer in structure.layers}
    for branch in structure.branches:
        weight = layers[output_of(branch)].weight.data
        if isinstance(branch, Attention) and heads:
            weight.view(len(weight), branch.heads, -1)[:, 1::2] = 0
        if not isinstance(branch, Attention) and neurons:
            weight[:, 1::2] = 0
    return net


def outputs(net):
    """Return the inputs of each attention output and each MLP output."""
    layers = find_structure(net).layers
    return [layer.shape[1] for layer in layers if layer.role in ("attn_out", "mlp_out")]


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_half_of_the_heads_and_neurons(family):
    net, images = halve(family.build().double()), family.images(2).double()
    small = shrink(net, ragged=True, images=images)
    assert count_parameters(small) < count_parameters(net) or family.name == "timm_eva02_base"
    torch.testing.assert_close(logits(small, images), logits(net, images), rtol=0, atol=1e-10)
    freeze_unused(net)
    why_not = why_not_shrinkable(net, images, neurons=False)
    assert ("stay in the tensors" in (why_not or "")) is (family.name in FIXED_ATTENTION)


PLAIN = {
    **dict.fromkeys(("vit", "deit", "vit_msn", "ijepa", "beit", "dinov2"), 1.0),
    **dict.fromkeys(("data2vec", "siglip", "clip", "swin", "swinv2", "timm_vit"), 0.5),
    **dict.fromkeys(("timm_deit3", "timm_dinov3", "timm_dinov3_swiglu", "timm_swin"), 0.5),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_plain_loading_builds(name, tmp_path):
    family = FAMILIES[name]
    dense, net, images = outputs(family.build()), halve(family.build()), family.images()
    report = export(net, tmp_path / "export", images=images)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "export").eval()
    torch.testing.assert_close(logits(loaded, images), logits(net, images), rtol=0, atol=1e-5)
    halved = sum(2 * new == old for new, old in zip(outputs(loaded), dense, strict=True))
    assert halved >= PLAIN[name] * len(dense) - 2  # without the pooling head of SigLIP
    assert "transformers" in report.shrunk.loads_smaller
    smallest = load_pruned(tmp_path / "export")
    assert count_parameters(smallest) == (
        count_parameters(loaded) - report.shrunk.dropped_by_load_pruned
    )
    torch.testing.assert_close(logits(smallest, images), logits(net, images), rtol=0, atol=1e-5)
    if family.library == "timm":
        assert "timm.create_model" in report.shrunk.loads_smaller
        alone = timm.create_model(f"local-dir:{tmp_path / 'export'}", pretrained=True).eval()
        with torch.no_grad():
            found = alone(images)
        torch.testing.assert_close(found, logits(net, images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["vit", "dinov2", "clip", "swin", "timm_vit", "timm_swin"])
@pytest.mark.parametrize("sparsity", [0.3, 0.5])
def test_loadable_groups_need_no_padding(name, sparsity, tmp_path):
    """Although the ranking over all layers would keep different widths."""
    family = FAMILIES[name]
    net, images = family.build(), family.images()
    for layer in find_structure(net).layers:
        layer.weight.data *= 1 + (layer.block or 0)
    heads = [Head(loadable=True)] if is_plain("fewer_heads", family) else []
    granularity = Combined([*heads, Neuron(loadable=True)])
    prune(net, Method(granularity=granularity, allocation=Global()), sparsity)
    shrunk = export(net, tmp_path / "export", images=images).shrunk
    assert "transformers" in shrunk.loads_smaller
    assert shrunk.dropped_parameters > 0
    assert shrunk.dropped_by_load_pruned == 0
    assert shrunk.stayed["uneven_widths"] == 0


@pytest.mark.parametrize("name", ["dinov2_swiglu", "timm_vit_registers", "timm_vit_qknorm"])
def test_ratios_and_scales_that_round(name):
    family = FAMILIES[name]
    net, images = halve(family.build().double()), family.images(2).double()
    small = shrink(net, images=images)
    assert count_parameters(small) < count_parameters(net)
    torch.testing.assert_close(logits(small, images), logits(net, images), rtol=0, atol=1e-10)


@pytest.mark.filterwarnings("ignore")  # of the exporter
@pytest.mark.parametrize("write", [ONNX().write, Pt2().write], ids=["onnx", "pt2"])
def test_programs_of_a_ragged_model_of_timm(write, tmp_path):
    family = FAMILIES["timm_vit"]
    net, images = family.build(), family.images()
    layers = [layer for layer in find_structure(net).layers if layer.role == "mlp_out"]
    for layer, neurons in zip(layers, (10, 20), strict=True):
        layer.weight.data[:, :neurons] = 0
    small = shrink(net, ragged=True, images=images)
    assert len(set(outputs(small))) == 3
    report = write(Exported(net, small, images, logits(net, images), ExportFolder(tmp_path)))
    assert report.largest_logit_difference < 1e-4


def test_dead_branches_become_constants_in_any_family():
    for name in ("swin", "swinv2", "clip", "dinov2", "timm_deit3"):
        family = FAMILIES[name]
        net, images = family.build().double(), family.images(2).double()
        for layer in find_structure(net).layers:
            if layer.role in ("attn_out", "mlp_out") and layer.block == 1:
                layer.weight.data.zero_()
        small = shrink(net, ragged=True, images=images)
        left = {layer.branch for layer in find_structure(small).layers if layer.block == 1}
        assert not any(isinstance(branch, Attention) for branch in left)
        torch.testing.assert_close(logits(small, images), logits(net, images), rtol=0, atol=1e-10)


def test_what_cannot_be_removed_is_known_before():
    images = FAMILIES["vit"].images(1)
    assert why_not_shrinkable(FAMILIES["vit"].build(), images) is None
    dinov3 = FAMILIES["timm_dinov3"].build()
    fixed = (
        "EvaAttention: pruned heads stay in the tensors as zeros (the code of its forward fixes "
    )
    fixed += "its width); "
    assert why_not_shrinkable(dinov3, images) == fixed + "neurons are removed."
    assert why_not_shrinkable(dinov3, images, heads=False) is None
    assert why_not_shrinkable(dinov3, images, neurons=False) == fixed + "nothing is removed."
    loaders = "Only load_pruned, pt2 and ONNX remove the pruned "
    clip = FAMILIES["clip"].build()
    assert why_not_shrinkable(clip) == loaders + "heads; plain transformers keeps them as zeros."
    assert why_not_shrinkable(clip, heads=False) is None
    mobilevit = FAMILIES["mobilevit"].build()
    text = why_not_shrinkable(mobilevit)
    assert text == loaders + "heads and neurons; plain transformers keeps them as zeros."
    resnet = FAMILIES["resnet"]
    assert "cannot be shrunk" in why_not_shrinkable(resnet.build(), resnet.images(1))


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_what_loads_the_smaller_model_is_known_before(family):
    net = family.build()
    freeze_unused(net)
    for column in ("fewer_heads", "fewer_neurons"):
        text = why_not_shrinkable(
            net,
            family.images(1),
            heads=column == "fewer_heads",
            neurons=column == "fewer_neurons",
        )
        if refusal(column, family) is None:
            assert (text is None) is is_plain(column, family), text


def test_modules_that_keep_their_width_are_reported(tmp_path):
    family = FAMILIES["timm_dinov3"]
    net = halve(family.build(), neurons=False)
    report = export(net, tmp_path / "export", images=family.images())
    (why_not,) = report.shrunk.left.values()
    assert why_not == "the code of its forward fixes its width"
    assert report.shrunk.stayed["fixed_widths"] > 0
    assert report.shrunk.loads_smaller == []
