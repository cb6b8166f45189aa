"""The exported folder is the pruned model, and loads without this package."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageClassification, ViTImageProcessor

import vitprune
from tests.conftest import TINY, tiny_net
from tests.exports.runs import digits, export, read, train
from vitprune.data import Augmentation
from vitprune.errors import UsageError
from vitprune.exports import write
from vitprune.exports.checkpoint import export_checkpoint
from vitprune.exports.costs import count_parameters
from vitprune.exports.nets import load_net
from vitprune.exports.verify import logits
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.config import image_shape
from vitprune.model.anatomy.layers import find_layers
from vitprune.model.distillation import Distillation
from vitprune.pruning import (
    Branch,
    Combined,
    Element,
    Global,
    Head,
    HeadDim,
    LayerSelection,
    Magnitude,
    Neuron,
    OneShot,
    Row,
    Uniform,
)
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.format_report import Verification
from vitprune.runs.shrink_report import ModelWidths

OF_TORCH_2_11 = "ignore:The given buffer is not writable:UserWarning"  # by torch.export.load
PLAIN_PROCESS = Path(__file__).with_name("plain_process.py")


def test_a_process_without_this_package_gets_the_same_logits(exported_run, tmp_path):
    run, _ = exported_run
    uneven = {"allocation": Global(), "granularity": Combined([Head(), Neuron()])}
    structured = train(tmp_path / "structured", run.pretrained, OneShot(0.4), 1, **uneven)
    report = export(structured, formats=["pt2"])
    assert report.shrunk.dropped_parameters > 0
    assert report.pruned.parameters < report.base.parameters
    image = tmp_path / "images" / "image.png"
    image.parent.mkdir()
    Image.effect_noise((30, 20), 80).save(image)  # a grey one
    folders = [run.folder.export.path, structured.folder.export.path]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-W", OF_TORCH_2_11, PLAIN_PROCESS, image, *folders],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    data = digits(run.pretrained, predict_images=str(image.parent))
    batch = data.prepare(next(iter(data.predict_dataloader())), torch.device("cpu"))

    def masked_logits(run):
        return logits(load_net(run.last, run.model.net.config), batch["pixel_values"])

    same, close = json.loads(result.stdout)
    assert same == masked_logits(run).tolist()
    torch.testing.assert_close(torch.tensor(close), masked_logits(structured), rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["clip_vision", "siglip_vision"])
def test_an_image_tower_of_a_model_of_image_and_text_is_trained_and_exported(tmp_path, family):
    """Its configuration has widths and image size one level down."""
    kind, _, tower = family.partition("_")
    text = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    net = tiny_net(kind, **{f"{tower}_config": TINY, "text_config": text})
    selected = {layer.name for layer in LayerSelection().select(net)}
    assert {layer.name for layer in find_layers(net)} - selected == {
        "vision_model.embeddings.patch_embedding",
        "classifier",
    }
    net.save_pretrained(tmp_path / "net")
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path / "net")
    run = train(tmp_path / "run", tmp_path / "net", distillation=Distillation())
    report = export(run)
    assert report.verification.largest_logit_difference == 0
    assert report.sparsity.prunable == pytest.approx(0.8, abs=1e-4)
    loaded = AutoModelForImageClassification.from_pretrained(run.folder.export.path)
    assert image_shape(loaded.config) == (3, 16, 16)


def test_the_report_counts_what_is_in_the_file(exported_run):
    run, report = exported_run
    export = run.folder.export
    tensors = load_file(export.weights)
    zeros = sum(int((t == 0).sum()) for t in tensors.values())
    parameters = sum(t.numel() for t in tensors.values())
    assert report.verification == Verification(0.0, zeros_in_file=zeros, images=32)
    assert report.sparsity.total == zeros / parameters
    assert report.pruned.nonzero_parameters == parameters - zeros
    assert report.pruned.bytes == export.weights.stat().st_size
    loaded = AutoModelForImageClassification.from_pretrained(export.path)
    prunable = {name: loaded.get_submodule(name).weight for name in report.sparsity.layers}
    assert len(prunable) == 12
    for name, weight in prunable.items():
        assert report.sparsity.layers[name] == float((weight == 0).double().mean())
    assert report.sparsity.prunable == pytest.approx(0.8, abs=1e-4)
    assert not any("parametrizations" in name for name in tensors)


def test_the_report_has_the_rounds_and_both_accuracies(exported_run):
    run, report = exported_run
    rounds = run.last.pruning[0]["rounds"]
    assert [r.accuracy_finetuned for r in report.rounds] == [r["finetuned"] for r in rounds]
    assert report.pruned.accuracy == pytest.approx(rounds[-1]["finetuned"])
    assert report.base.accuracy is not None
    assert report.base.nonzero_parameters > report.pruned.nonzero_parameters
    assert report.base.flops == report.pruned.flops > 0
    assert report.finished
    assert report.environment.seed == 42


def test_a_figure_that_cannot_be_drawn_does_not_cost_the_export(run):
    with run.folder.metrics.open("a") as file:
        file.write("x" * 200_000)  # more than a field of a CSV file may hold
    with pytest.warns(UserWarning, match="Could not draw figures: .*metrics.csv"):
        report = export(run)
    folder = run.folder.export
    assert report.verification.largest_logit_difference == 0
    assert "plots/" not in folder.card.read_text()
    assert type(report).read(folder.report) == report


def test_a_checkpoint_of_another_model_is_refused(run):
    target = run.folder.export.path
    for changes in ({"classes": 7}, {"num_hidden_layers": 1}, {"intermediate_size": 32}):
        config = tiny_net(**changes).config
        with pytest.raises(UsageError, match="another model"):
            export_checkpoint(run.last, config, run.data, target)
    assert not target.exists()


def test_a_checkpoint_that_was_never_pruned_is_complete(run, tmp_path):
    state = ViTClassifier(str(run.pretrained)).state_dict()
    never_pruned = TrainingCheckpoint(tmp_path / "a.ckpt", {"state_dict": state})
    report = export(run, never_pruned, tmp_path / "dense")
    assert report.finished
    assert report.base.accuracy is None
    assert report.rounds == []


def test_before_the_final_sparsity_the_export_says_so(run):
    assert export(run).finished
    checkpoint = run.last
    checkpoint.pruning[0]["finished"] = False  # as in the checkpoint of an earlier epoch
    assert not export(run, checkpoint).finished
    assert "had not reached its final sparsity" in run.folder.export.card.read_text()


def test_exports_of_different_types_do_not_influence_each_other(run):
    def stored_type():
        return load_file(run.folder.export.weights)["classifier.weight"].dtype

    halved = export(run, dtype="bfloat16")
    assert stored_type() == torch.bfloat16
    assert 0 < halved.verification.largest_logit_difference < 0.1
    whole = export(run)
    assert stored_type() == torch.float32
    assert whole.verification.largest_logit_difference == 0
    assert halved.base == whole.base


STRUCTURED = {
    "heads and neurons": (
        Combined([Head(loadable=True), Neuron(loadable=True)]),
        {"heads": 1, "neurons": 32},
    ),
    "dimensions and neurons": (
        Combined([HeadDim(loadable=True), Neuron(loadable=True)]),
        {"head_dim": 8, "neurons": 32},
    ),
    "branches": (Branch(), {}),
}


@pytest.mark.parametrize("case", STRUCTURED)
def test_structured_masks_make_smaller_files(tmp_path, pretrained, case):
    granularity, widths = STRUCTURED[case]
    allocation = Uniform() if widths else Global()
    pruning = {"granularity": granularity, "allocation": allocation}
    run = train(tmp_path / "run", pretrained, OneShot(0.5), 1, **pruning)
    report = export(run, shrink="required" if widths else "auto")
    folder = run.folder.export.path
    shrunk = report.shrunk
    assert shrunk.before == ModelWidths(blocks=2, heads=2, head_dim=16, neurons=64, channels=32)
    assert shrunk.largest_logit_difference_float64 < 1e-10
    assert report.verification.largest_logit_difference < 1e-5
    if widths:
        assert shrunk.after == replace(shrunk.before, **widths)
        assert report.sparsity.prunable == 0.5
        assert not any(shrunk.stayed.values())
    assert shrunk.dropped_parameters + shrunk.dropped_by_load_pruned > 0
    loaded = AutoModelForImageClassification.from_pretrained(folder)
    smallest = vitprune.load_pruned(folder)
    assert count_parameters(loaded) == report.pruned.parameters
    assert count_parameters(loaded) == report.base.parameters - shrunk.dropped_parameters
    assert count_parameters(smallest) == count_parameters(loaded) - shrunk.dropped_by_load_pruned
    assert report.pruned.flops < report.base.flops or not widths
    images = next(iter(run.data.whole_validation()))["pixel_values"].float()
    torch.testing.assert_close(logits(smallest, images), logits(loaded, images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"granularity": Row(), "criterion": Magnitude(p=2)},
        {"allocation": Global(), "layers": LayerSelection(names=["*"])},
        {"granularity": Element(), "layers": LayerSelection(roles=["mlp_in"])},
    ],
)
def test_other_masks_export_as_well(tmp_path, pretrained, options):
    run = train(tmp_path / "run", pretrained, OneShot(0.6), **options)
    report = export(run, read(run.folder.best))
    assert report.sparsity.prunable == pytest.approx(0.6, abs=0.02)


def test_mixing_images_ends_with_training(tmp_path, pretrained):
    run = train(
        tmp_path / "run",
        pretrained,
        OneShot(0.5),
        1,
        digits(pretrained, augmentation=Augmentation(mixup=0.8)),
    )
    finetuned = run.last.pruning[0]["rounds"][-1]["finetuned"]
    assert export(run).pruned.accuracy == pytest.approx(finetuned)


def test_a_folder_of_something_else_is_left_alone(run):
    target = run.folder.export.path
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not an export"):
        export(run)
    (target / "thesis.tex").unlink()
    export(run)
    assert export(run).finished  # an export may be replaced
    assert not list(run.folder.path.glob(".export*"))


def test_a_failed_verification_exports_nothing(run, monkeypatch):
    monkeypatch.setattr(write, "logits", lambda net, images: logits(net, images) + 1)
    with pytest.raises(RuntimeError, match="differs from the pruned one"):
        export(run)
    assert not run.folder.export.path.exists()
