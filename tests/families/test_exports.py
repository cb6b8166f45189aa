"""Exports of every family, loaded without vitprune, and what is removed from them."""

from pathlib import Path

import onnxruntime
import pytest
import timm
import torch
from transformers import AutoModelForImageClassification

from tests.families.expectations import expected, families
from tests.families.families import logits
from tests.families.parts import attention_outputs, mlp_outputs
from vitprune import export, load_pruned, prune
from vitprune.exports import onnx
from vitprune.exports.exported import Exported
from vitprune.pruning import Head, Method, Neuron
from vitprune.runs.run_folder import ExportFolder


@families("export")
def test_plain_loading_gives_the_logits_of_the_pruned_model(family, tmp_path):
    net, images = family.build(), family.images()
    with expected("export", family):
        prune(net, Method(), 0.5)
        report = export(net, tmp_path / "export")
        loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "export")
        assert torch.equal(logits(loaded, images), logits(net, images))
        assert report.sparsity.total > 0.1
        if family.library == "timm":
            ours = timm.create_model(f"local-dir:{tmp_path / 'export'}", pretrained=True).eval()
            with torch.no_grad():
                assert torch.equal(ours(images), logits(net, images))


def check_shrunk(net, folder: Path, images, *, outputs) -> None:
    """Check that `load_pruned` removes half of the inputs of some layers, and moves no logit."""
    widths = [layer.in_features for layer in outputs(net)]
    export(net, folder)
    small = load_pruned(folder)
    assert [2 * layer.in_features for layer in outputs(small)] == widths
    torch.testing.assert_close(logits(small, images), logits(net, images), rtol=0, atol=1e-5)


@families("shrink_heads")
def test_fewer_heads(family, tmp_path):
    net = family.build()
    with expected("shrink_heads", family):
        prune(net, Method(granularity=Head()), 0.5)
        check_shrunk(net, tmp_path / "export", family.images(), outputs=attention_outputs)


@families("shrink_neurons")
def test_fewer_neurons(family, tmp_path):
    net = family.build()
    with expected("shrink_neurons", family):
        prune(net, Method(granularity=Neuron()), 0.5)
        check_shrunk(net, tmp_path / "export", family.images(), outputs=mlp_outputs)


@families("onnx")
@pytest.mark.filterwarnings("ignore")  # of the exporter
def test_onnx(family, tmp_path):
    net, images = family.build(), family.images()
    with expected("onnx", family):
        prune(net, Method(), 0.5)
        before, folder = logits(net, images), ExportFolder(tmp_path)
        report = onnx.write(Exported(net, net, images, before, folder))
        session = onnxruntime.InferenceSession(folder.onnx, providers=["CPUExecutionProvider"])
        for number in (1, 3):
            (found,) = session.run(["logits"], {"pixel_values": images[:number].numpy()})
            torch.testing.assert_close(
                torch.from_numpy(found), before[:number], rtol=0, atol=1e-4 * before.abs().max()
            )
        assert report.bytes == folder.onnx.stat().st_size
