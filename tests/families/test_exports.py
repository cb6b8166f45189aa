"""Exports of every family, loaded without vitprune, and what is removed from them."""

from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import timm
import torch
from torch import Tensor, nn
from transformers import AutoModelForImageClassification

from tests.families.expectations import expected, families, is_plain
from tests.families.families import Family, logits
from tests.families.parts import attention_outputs, mlp_outputs
from tests.families.runs import net_of_run
from vitprune import export, load_pruned, prune
from vitprune.errors import UsageError
from vitprune.exports.exported import Exported
from vitprune.exports.formats.onnx import ONNX
from vitprune.pruning import Head, Method, Neuron, Width
from vitprune.runs.run_folder import ExportFolder


def load_plainly(family: Family, folder: Path) -> list[nn.Module]:
    """Return the model of a folder as those without vitprune load it."""
    loaded = [AutoModelForImageClassification.from_pretrained(folder)]
    if family.library == "timm":
        loaded.append(timm.create_model(f"local-dir:{folder}", pretrained=True).eval())
    return loaded


def logits_of_any(net: nn.Module, images: Tensor) -> Tensor:
    """Return logits, also of a model of timm itself."""
    if hasattr(net, "config"):
        return logits(net, images)
    with torch.no_grad():
        output: Tensor = net(images)
    return output


@families("export")
def test_plain_loading_gives_the_logits_of_the_pruned_model(family, tmp_path):
    images = family.images()
    with expected("export", family):
        net = net_of_run(family, tmp_path / "model")
        prune(net, Method(), 0.5)
        report = export(net, tmp_path / "export", images=images)
        for loaded in load_plainly(family, tmp_path / "export"):
            assert torch.equal(logits_of_any(loaded, images), logits(net, images))
        zeros = sum(int((parameter == 0).sum()) for parameter in net.parameters())
        assert report.verification.zeros_in_file == zeros


Find = Callable[[nn.Module], list[nn.Linear]]


def check_smaller(family: Family, column: str, net: nn.Module, folder: Path, find: Find) -> None:
    """Check that half of the inputs of some layers are removed, and that no logit moves.

    The report says what loads the smaller model, and that does.

    Raises:
        UsageError: If the layers keep their width, with the reason that the report gives.

    """
    images = family.images()
    halves = [layer.in_features / 2 for layer in find(net)]
    report = export(net, folder, images=images)
    small = load_pruned(folder)
    if [layer.in_features for layer in find(small)] != halves and report.shrunk.left:
        raise UsageError("; ".join(report.shrunk.left.values()))
    assert [layer.in_features for layer in find(small)] == halves
    torch.testing.assert_close(logits(small, images), logits(net, images), rtol=0, atol=1e-5)
    assert report.shrunk.largest_logit_difference_float64 < 1e-10
    loaders = ["transformers", "timm.create_model"][: len(load_plainly(family, folder))]
    plain = loaders if is_plain(column, family) else []
    assert sorted(report.shrunk.loads_smaller) == sorted([*plain, "load_pruned"])
    if is_plain(column, family):
        for loaded in load_plainly(family, folder):
            for layer, half in zip(find(loaded), halves, strict=True):
                assert half <= layer.in_features < 2 * half  # a configuration may round it up
            torch.testing.assert_close(
                logits_of_any(loaded, images), logits(net, images), rtol=0, atol=1e-5
            )


@families("fewer_heads")
def test_fewer_heads(family, tmp_path):
    with expected("fewer_heads", family):
        net = net_of_run(family, tmp_path / "model")
        prune(net, Method(granularity=Head()), 0.5)
        check_smaller(family, "fewer_heads", net, tmp_path / "export", attention_outputs)


@families("fewer_neurons")
def test_fewer_neurons(family, tmp_path):
    with expected("fewer_neurons", family):
        net = net_of_run(family, tmp_path / "model")
        prune(net, Method(granularity=Neuron()), 0.5)
        check_smaller(family, "fewer_neurons", net, tmp_path / "export", mlp_outputs)


@families("fewer_channels")
def test_fewer_channels(family, tmp_path):
    images = family.images()
    with expected("fewer_channels", family):
        net = net_of_run(family, tmp_path / "model")
        prune(net, Method(granularity=Width()), 0.5)
        half = attention_outputs(net)[0].out_features / 2
        report = export(net, tmp_path / "export", images=images)
        assert report.shrunk.after.channels == half
        assert report.shrunk.largest_logit_difference_float64 < 1e-10
        loaded = [load_pruned(tmp_path / "export")]
        if is_plain("fewer_channels", family):
            loaded += load_plainly(family, tmp_path / "export")
        for small in loaded:
            assert all(layer.out_features == half for layer in attention_outputs(small))
            torch.testing.assert_close(
                logits_of_any(small, images), logits(net, images), rtol=0, atol=1e-5
            )
        plain = ["transformers"] if is_plain("fewer_channels", family) else []
        assert report.shrunk.loads_smaller == [*plain, "load_pruned"]


@pytest.mark.slow
@families("onnx")
@pytest.mark.filterwarnings("ignore")  # of the exporter
def test_onnx(family, tmp_path):
    images = family.images()
    with expected("onnx", family):
        net = net_of_run(family, tmp_path / "model")
        prune(net, Method(), 0.5)
        before, folder = logits(net, images), ExportFolder(tmp_path)
        report = ONNX().write(Exported(net, net, images, before, folder))
        session = onnxruntime.InferenceSession(folder.onnx, providers=["CPUExecutionProvider"])
        for number in (1, 3):
            (found,) = session.run(["logits"], {"pixel_values": images[:number].numpy()})
            torch.testing.assert_close(
                torch.from_numpy(found), before[:number], rtol=0, atol=1e-4 * before.abs().max()
            )
        assert report.bytes == folder.onnx.stat().st_size
