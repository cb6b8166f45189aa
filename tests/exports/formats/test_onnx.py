"""ONNX models give the logits of the pruned model."""

from dataclasses import replace

import onnxruntime
import pytest
import torch

from tests.families.families import FAMILIES
from vitprune.errors import UsageError
from vitprune.exports import onnx
from vitprune.exports.exported import Exported
from vitprune.exports.formats.onnx import ONNX
from vitprune.exports.verify import logits
from vitprune.runs.run_folder import ExportFolder


@pytest.mark.parametrize("exported", ["vit"], indirect=True)
def test_any_batch_size(exported):
    report = ONNX().write(exported)
    session = onnxruntime.InferenceSession(exported.folder.onnx, providers=["CPUExecutionProvider"])
    for batch in (1, 3, 5):
        (result,) = session.run(["logits"], {"pixel_values": exported.images[:batch].numpy()})
        torch.testing.assert_close(
            torch.from_numpy(result), exported.logits[:batch], rtol=0, atol=1e-5
        )
    assert report.largest_logit_difference < 1e-5
    assert report.bytes == exported.folder.onnx.stat().st_size
    assert exported.smallest.config._attn_implementation == "sdpa"  # as it was


@pytest.mark.parametrize("exported", ["vit"], indirect=True)
def test_any_batch_size_where_one_image_is_compared(exported):
    report = ONNX().write(replace(exported, images=exported.images[:1], logits=exported.logits[:1]))
    assert report.largest_logit_difference < 1e-5
    program = onnx.Runtime(exported.folder.onnx)
    torch.testing.assert_close(program(exported.images), exported.logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("exported", ["deit"], indirect=True)
def test_half_precision(exported):
    exported.smallest.half()
    report = ONNX().write(exported)
    weights = sum(parameter.numel() for parameter in exported.smallest.parameters())
    assert 0 < report.largest_logit_difference < 0.01
    # the graph itself takes the same whatever the model
    assert report.bytes < 2 * weights + 170_000
    exported.smallest.bfloat16()
    with pytest.raises(UsageError, match="does not support bfloat16 on a CPU. Use --dtype float16"):
        ONNX().write(exported)


@pytest.mark.filterwarnings("ignore")  # of the exporter
def test_relative_positions_in_fused_attention(tmp_path):
    family = FAMILIES["data2vec"]
    net, images = family.build(), family.images(4)
    report = ONNX().write(Exported(net, net, images, logits(net, images), ExportFolder(tmp_path)))
    assert report.largest_logit_difference < 1e-5
    (one,) = onnx.Runtime(tmp_path / "model.onnx")(images[:1])
    torch.testing.assert_close(one, logits(net, images)[0], rtol=0, atol=1e-5)
