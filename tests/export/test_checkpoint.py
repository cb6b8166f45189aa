"""The exported folder is the masked model, for anyone who has never heard of this package."""

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
from tests.conftest import TINY, quiet_trainer, tiny_net
from tests.export.runs import export, read, train
from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.export.checkpoint import export_checkpoint
from vitprune.export.costs import count_parameters
from vitprune.export.masked import load_masked
from vitprune.export.verify import logits
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
    IterativePruning,
    LayerSelection,
    Magnitude,
    Neuron,
    OneShot,
    Row,
    Uniform,
    masks,
)
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.report import ModelWidths, Verification
from vitprune.runs.run_folder import RunFolder
from vitprune.training.checkpoints import RunCheckpoints

PLAIN_PROCESS = Path(__file__).with_name("plain_process.py")


def test_a_process_without_this_package_gets_the_same_logits(exported_run, tmp_path, pretrained):
    run, _, data, _ = exported_run
    structured = RunFolder(tmp_path / "structured")
    uneven = {"allocation": Global(), "granularity": Combined([Head(), Neuron()])}
    model, _ = train(structured.path, pretrained, OneShot(0.4), 1, **uneven)
    report = export(structured.path, model, data, formats=["pt2"])
    assert report.shrunk.dropped_parameters > 0
    assert report.pruned.parameters < report.base.parameters
    image = tmp_path / "images" / "image.png"
    image.parent.mkdir()
    Image.effect_noise((30, 20), 80).save(image)  # a grey one
    result = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            PLAIN_PROCESS,
            image,
            run.export.path,
            structured.export.path,
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    data.predict_images = str(image.parent)
    batch = data.prepare(next(iter(data.predict_dataloader())), torch.device("cpu"))
    same, close = json.loads(result.stdout)

    def masked_logits(folder):
        return logits(load_masked(read(folder.last), model.net.config), batch["pixel_values"])

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
    model, data = train(tmp_path, tmp_path / "net", distillation=Distillation())
    report = export(tmp_path, model, data)
    assert report.verification.largest_logit_difference == 0
    assert report.sparsity.prunable == pytest.approx(0.8, abs=1e-4)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "export")
    assert image_shape(loaded.config) == (3, 16, 16)


def test_the_report_counts_what_is_in_the_file(exported_run):
    run, _, _, report = exported_run
    tensors = load_file(run.export.weights)
    zeros = sum(int((t == 0).sum()) for t in tensors.values())
    parameters = sum(t.numel() for t in tensors.values())
    assert report.verification == Verification(0.0, zeros_in_file=zeros, images=32)
    assert report.sparsity.total == zeros / parameters
    assert report.pruned.nonzero_parameters == parameters - zeros
    assert report.pruned.bytes == run.export.weights.stat().st_size
    loaded = AutoModelForImageClassification.from_pretrained(run.export.path)
    prunable = {name: loaded.get_submodule(name).weight for name in report.sparsity.layers}
    assert len(prunable) == 12
    for name, weight in prunable.items():
        assert report.sparsity.layers[name] == float((weight == 0).double().mean())
    assert report.sparsity.prunable == pytest.approx(0.8, abs=1e-4)
    assert not any("parametrizations" in name for name in tensors)


def test_the_report_has_the_rounds_and_both_accuracies(exported_run):
    run, _, _, report = exported_run
    rounds = read(run.last).pruning["rounds"]
    assert [r.accuracy_finetuned for r in report.rounds] == [r["finetuned"] for r in rounds]
    assert report.pruned.accuracy == pytest.approx(rounds[-1]["finetuned"])
    assert report.base.accuracy is not None
    assert report.base.nonzero_parameters > report.pruned.nonzero_parameters
    assert report.base.flops == report.pruned.flops > 0
    assert report.finished
    assert report.environment.seed == 42


def test_a_checkpoint_of_another_model_is_refused(run):
    folder, _, data = run
    for changes in ({"classes": 7}, {"num_hidden_layers": 1}, {"intermediate_size": 32}):
        config = tiny_net(**changes).config
        with pytest.raises(UsageError, match="another model"):
            export_checkpoint(read(folder.last), config, data, folder.export.path)
    assert not folder.export.path.exists()


def test_a_checkpoint_that_was_never_pruned_is_complete(run, tmp_path, pretrained):
    _, _, data = run
    model = ViTClassifier(str(pretrained))
    never_pruned = TrainingCheckpoint(tmp_path / "a.ckpt", {"state_dict": model.state_dict()})
    report = export_checkpoint(never_pruned, model.net.config, data, tmp_path / "dense")
    assert report.finished
    assert report.base.accuracy is None
    assert report.rounds == []


def test_before_the_final_sparsity_the_export_says_so(run):
    folder, model, data = run
    assert export(folder.path, model, data).finished
    checkpoint = read(folder.last)
    checkpoint.pruning["finished"] = False  # as in the checkpoint of an earlier epoch
    report = export_checkpoint(checkpoint, model.net.config, data, folder.export.path)
    assert not report.finished
    assert "had not reached its final sparsity" in folder.export.card.read_text()


def test_exports_of_different_types_do_not_influence_each_other(run):
    folder, model, data = run
    halved = export(folder.path, model, data, dtype="bfloat16")
    assert load_file(folder.export.weights)["classifier.weight"].dtype == torch.bfloat16
    assert 0 < halved.verification.largest_logit_difference < 0.1
    whole = export(folder.path, model, data)
    assert load_file(folder.export.weights)["classifier.weight"].dtype == torch.float32
    assert whole.verification.largest_logit_difference == 0
    assert halved.base == whole.base


STRUCTURED = {
    "heads and neurons": (
        Combined([Head(uniform=True), Neuron(uniform=True)]),
        {"heads": 1, "neurons": 32},
    ),
    "dimensions and neurons": (
        Combined([HeadDim(uniform=True), Neuron(uniform=True)]),
        {"head_dim": 8, "neurons": 32},
    ),
    "branches": (Branch(), {}),
}


@pytest.mark.parametrize("case", STRUCTURED)
def test_structured_masks_make_smaller_files(tmp_path, pretrained, case):
    granularity, widths = STRUCTURED[case]
    allocation = Uniform() if widths else Global()
    pruning = {"granularity": granularity, "allocation": allocation}
    model, data = train(tmp_path, pretrained, OneShot(0.5), 1, **pruning)
    report = export(tmp_path, model, data, shrink="required" if widths else "auto")
    shrunk = report.shrunk
    assert shrunk.before == ModelWidths(blocks=2, heads=2, head_dim=16, neurons=64)
    assert shrunk.largest_logit_difference_float64 < 1e-10
    assert report.verification.largest_logit_difference < 1e-5
    if widths:
        assert shrunk.after == replace(shrunk.before, **widths)
        assert report.sparsity.prunable == 0.5
        assert not any(shrunk.stayed.values())
    assert shrunk.dropped_parameters + shrunk.dropped_by_load_pruned > 0
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "export")
    smallest = vitprune.load_pruned(tmp_path / "export")
    assert count_parameters(loaded) == report.pruned.parameters
    assert count_parameters(loaded) == report.base.parameters - shrunk.dropped_parameters
    assert count_parameters(smallest) == count_parameters(loaded) - shrunk.dropped_by_load_pruned
    assert report.pruned.flops < report.base.flops or not widths
    images = next(iter(data.whole_validation()))["pixel_values"].float()
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
    model, data = train(tmp_path, pretrained, OneShot(0.6), **options)
    report = export(tmp_path, model, data, "best")
    assert report.sparsity.prunable == pytest.approx(0.6, abs=0.02)


def test_mixing_images_ends_with_training(tmp_path, pretrained):
    torch.manual_seed(0)
    model = ViTClassifier(str(pretrained), labels=[str(d) for d in range(10)])
    options = {"max_images": {"train": 64, "validation": 50}, "num_workers": 0, "batch_size": 10}
    data = ImageData("digits", str(pretrained), mixup=0.8, **options)
    pruning = IterativePruning(OneShot(0.5))
    callbacks = [pruning, RunCheckpoints()]
    trainer = quiet_trainer(tmp_path, callbacks=callbacks, enable_checkpointing=True, max_epochs=1)
    trainer.fit(model, data)
    finetuned = read(RunFolder(tmp_path).last).pruning["rounds"][-1]["finetuned"]
    assert export(tmp_path, model, data).pruned.accuracy == pytest.approx(finetuned)


def test_a_folder_of_something_else_is_left_alone(run):
    folder, model, data = run
    folder.export.path.mkdir()
    (folder.export.path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not an export"):
        export(folder.path, model, data)
    (folder.export.path / "thesis.tex").unlink()
    export(folder.path, model, data)
    assert export(folder.path, model, data).finished  # an export may be replaced
    assert not list(folder.path.glob(".export*"))


def test_a_failed_verification_exports_nothing(run, monkeypatch):
    folder, model, data = run
    remove = masks.remove

    def damaging_remove(net):
        remove(net)
        net.classifier.bias.data.add_(1)

    monkeypatch.setattr(masks, "remove", damaging_remove)
    with pytest.raises(RuntimeError, match="differs from the masked one"):
        export(folder.path, model, data)
    assert not folder.export.path.exists()
