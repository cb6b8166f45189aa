"""Exports of models whose residual stream lost channels."""

import json
import subprocess
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageClassification, ViTImageProcessor

from tests.conftest import quiet_trainer, tiny_net
from tests.exports.runs import digits, export, train
from tests.exports.test_checkpoint import PLAIN_PROCESS
from tests.families.families import FAMILIES, logits
from vitprune import export as export_net
from vitprune import load_pruned, prune
from vitprune.errors import UsageError
from vitprune.exports.costs import count_flops, count_parameters
from vitprune.exports.nets import load_net
from vitprune.exports.shrinking.shrink import shrink
from vitprune.exports.shrinking.stream import is_plain, pruned_channels, without_pruned_channels
from vitprune.model.anatomy.layers import find_structure
from vitprune.model.anatomy.records import Dimension
from vitprune.model.channels import KeptChannels
from vitprune.model.distillation import Distillation
from vitprune.pruning import (
    Branch,
    Combined,
    Cubic,
    FLOPs,
    Head,
    HeadDim,
    Isomorphic,
    LayerSelection,
    Magnitude,
    Method,
    Neuron,
    Parameters,
    Random,
    Ridge,
    Width,
)
from vitprune.training.checkpoints import RunCheckpoints

SUPPORTED = [
    *("vit", "deit", "vit_msn", "ijepa", "dinov2", "dinov2_registers", "dinov2_swiglu", "beit"),
    *("dinov3", "dinov3_gated", "data2vec", "clip"),
    *("timm_vit", "timm_vit_qknorm", "timm_vit_registers", "timm_deit3"),
]
PLAIN = SUPPORTED[:8]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that pruned 14 of 32 channels."""
    folder = tmp_path_factory.mktemp("width")
    tiny_net("vit").save_pretrained(folder / "pretrained")
    processor = ViTImageProcessor(size={"height": 16, "width": 16})
    processor.save_pretrained(folder / "pretrained")
    return train(
        folder / "run",
        folder / "pretrained",
        Cubic(0.45, end=1),
        granularity=Width(round_to=2),
        distillation=Distillation(),
    )


@pytest.mark.slow
def test_a_process_without_this_package_gets_the_logits_of_the_run(run, tmp_path):
    report = export(run, formats=["pt2"])
    assert report.shrunk.before.channels == 32
    assert report.shrunk.after.channels == 18
    assert report.shrunk.settings_before == {"hidden_size": 32, "head_dim": None}
    assert report.shrunk.largest_logit_difference_float64 < 1e-10
    assert report.shrunk.loads_smaller == ["transformers", "load_pruned"]
    assert report.base.parameters - report.pruned.parameters == report.shrunk.dropped_parameters
    assert report.pruned.flops < report.base.flops
    image = tmp_path / "images" / "image.png"
    image.parent.mkdir()
    Image.effect_noise((30, 20), 80).convert("RGB").save(image)
    folder = run.folder.export
    command = [sys.executable, "-W", "error", PLAIN_PROCESS, image, folder.path]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    data = digits(run.pretrained, predict_images=str(image.parent))
    batch = data.prepare(next(iter(data.predict_dataloader())), torch.device("cpu"))
    expected = logits(load_net(run.last, run.model.net.config), batch["pixel_values"])
    (found,) = json.loads(result.stdout)
    torch.testing.assert_close(torch.tensor(found), expected, rtol=0, atol=1e-5)


def test_a_checkpoint_is_validated_with_its_channels(run):
    """As the model was when its metric was recorded."""
    run.model.eval()
    images = torch.randn(3, 3, 16, 16)
    expected = logits(run.model.net, images)
    fresh = type(run.model)(str(run.pretrained), labels=run.model.hparams["labels"])
    callbacks = [RunCheckpoints()]
    trainer = quiet_trainer(run.folder.path, callbacks=callbacks, enable_checkpointing=True)
    trainer.validate(fresh, run.data, ckpt_path=run.folder.last, weights_only=True, verbose=False)
    assert torch.equal(logits(fresh.net.eval(), images), expected)


def test_shrinking_cannot_be_off(run, tmp_path):
    with pytest.raises(UsageError, match="pruned channels of the residual stream must be removed"):
        export(run, target=tmp_path / "export", shrink="off")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize("name", SUPPORTED)
@pytest.mark.parametrize("criterion", [Magnitude(), Random()])
def test_a_shrunk_model_has_the_same_logits_in_float64(name, criterion):
    family = FAMILIES[name]
    net, images = family.build().double(), family.images().double()
    prune(net, Method(criterion, Width()), 0.4)
    kept = pruned_channels(net)
    assert len(kept) == 19
    small = shrink(net)
    assert find_structure(small).stream.channels == 19
    assert is_plain(small) == (name in PLAIN)
    for one in (small, shrink(net, ragged=True), without_pruned_channels(net)):
        torch.testing.assert_close(logits(one, images), logits(net, images), rtol=0, atol=1e-10)
        stream = find_structure(one).stream
        assert not any(KeptChannels.of(norm) for norm in stream.norms.values())


@pytest.mark.parametrize("compensation", [None, Ridge()])
@pytest.mark.parametrize("name", ["vit", "dinov2_swiglu", "timm_deit3"])
@pytest.mark.parametrize(
    "others", [[Head(), Neuron()], [HeadDim(loadable=True)], [Branch(), Neuron()]], ids=str
)
def test_all_structure_together_in_float64(name, others, compensation):
    family = FAMILIES[name]
    net, images = family.build().double(), family.images().double()
    granularity = Combined([Width(round_to=4), *others])
    method = Method(Random(), granularity, Isomorphic(), compensation=compensation)
    prune(net, method, 0.6, [{"pixel_values": images, "labels": family.labels()}])
    kept = pruned_channels(net)
    for small in (shrink(net), shrink(net, ragged=True)):
        assert find_structure(small).stream.channels == len(kept)
        torch.testing.assert_close(logits(small, images), logits(net, images), rtol=0, atol=1e-10)


@pytest.mark.parametrize("budget", [Parameters(), FLOPs()])
@pytest.mark.parametrize("others", [[], [Head(), Neuron()]], ids=str)
def test_budgets_count_what_the_smaller_model_costs(budget, others):
    family = FAMILIES["vit"]
    net, images = family.build(), family.images()
    method = Method(Random(), Combined([Width(), *others]), Isomorphic(), budget)
    layers = LayerSelection().select(net, method.granularity.roles)
    groupings = method.granularity.groupings(layers)
    costs = budget.costs(net, groupings, lambda: net(pixel_values=images))
    dense = costs.dense
    prune(net, method, 0.4, [{"pixel_values": images, "labels": family.labels()}])
    small = shrink(net, ragged=True)
    shape = images.shape[1:]
    left = count_parameters(small) if budget.unit == "parameters" else count_flops(small, shape)
    share = len(pruned_channels(net)) / 32
    if not others:
        assert costs.at({Dimension("width"): share}) == pytest.approx(left, rel=1e-12)
    one_channel = dense - costs.at({Dimension("width"): 31 / 32})
    assert abs(left - 0.6 * dense) <= one_channel


@pytest.mark.parametrize("name", ["clip", "timm_vit", "dinov3"])
def test_only_this_package_loads_what_the_configuration_cannot_express(name, tmp_path):
    family = FAMILIES[name]
    net, images = family.build(), family.images()
    prune(net, Method(granularity=Width()), 0.4)
    report = export_net(net, tmp_path, images=images)
    assert report.shrunk.loads_smaller == ["load_pruned"]
    assert report.shrunk.dropped_parameters > 0
    small = load_pruned(tmp_path)
    torch.testing.assert_close(logits(small, images), logits(net, images), rtol=0, atol=1e-5)
    stored = sum(tensor.numel() for tensor in load_file(tmp_path / "model.safetensors").values())
    assert stored == report.pruned.parameters
    with pytest.raises(RuntimeError, match="mismatch"):
        AutoModelForImageClassification.from_pretrained(tmp_path)


def test_attention_that_is_as_wide_as_the_stream_is_refused(tmp_path):
    family = FAMILIES["timm_beit"]
    net = family.build()
    prune(net, Method(granularity=Width()), 0.4)
    with pytest.raises(UsageError, match="the code of this model fixes its width"):
        export_net(net, tmp_path / "export", images=family.images())
    assert not (tmp_path / "export").exists()
