"""Programs in int8: zeros stay zeros, and the fastest accurate one is kept."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.exports.formats.quantizable import quantizable
from tests.exports.small_nets import linear
from vitprune.exports.conversion import ConversionError
from vitprune.exports.exported import Exported
from vitprune.exports.formats import int8
from vitprune.exports.formats.available import programs_in
from vitprune.exports.formats.onnx import ONNX
from vitprune.exports.formats.onnx_int8 import ONNXInt8
from vitprune.exports.quantization import Quantization
from vitprune.exports.verify import logits
from vitprune.runs.run_folder import ExportFolder


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Exported:
    exported = quantizable(tmp_path_factory.mktemp("export"))
    ONNX().write(exported)
    return exported


@pytest.fixture
def exported(converted) -> Exported:
    yield converted
    converted.folder.onnx_int8.unlink(missing_ok=True)


def timed_as(monkeypatch, **speedups):
    """Let the timing of tiny models, which is noise, come out like this."""
    seconds = [1.0, *(1 / speedup for speedup in speedups.values())]
    monkeypatch.setattr(int8, "time_in_turns", lambda calls, repeats: [[s] for s in seconds])


def limited(exported, monkeypatch, *accuracies) -> Exported:
    """Let the quantized models, the fastest first, have these accuracies."""
    found = iter(accuracies)
    monkeypatch.setattr(Quantization, "accuracy_of", lambda self, run: next(found))
    limit = replace(exported.quantization, accuracy=0.8, max_drop=0.01)
    return replace(exported, quantization=limit)


@pytest.mark.parametrize("method", ONNXInt8.methods)
def test_zeros_stay_zeros(exported, method, monkeypatch):
    timed_as(monkeypatch, **{**dict.fromkeys(ONNXInt8.methods, 1.5), method: 2.0})
    report = ONNXInt8().write(exported)
    assert (report.method, report.speedup) == (method, 2.0)
    assert 0 < report.largest_logit_difference < 0.1
    assert (
        abs(report.accuracy - exported.quantization.accuracy_of(lambda x: logits(exported.net, x)))
        < 0.1
    )
    zeros = (linear(exported.net, 0, "mlp_in").weight == 0).T.numpy()  # (in, out)
    tensors = map(numpy_helper.to_array, onnx.load(exported.folder.onnx_int8).graph.initializer)
    stored = next(each for each in tensors if each.dtype == np.int8 and each.shape == zeros.shape)
    assert (stored[zeros] == 0).all()
    assert (stored != 0).mean() > 0.4
    assert [program.name for program in programs_in(exported.folder)] == ["onnx", "onnx_int8"]


def test_the_fastest_within_the_limit_is_kept(exported, monkeypatch):
    timed_as(monkeypatch, static=1.5, dynamic=2.0)
    report = ONNXInt8().write(limited(exported, monkeypatch, 0.5, 0.795))
    assert (report.method, report.accuracy) == ("static", 0.795)
    assert report.bytes == exported.folder.onnx_int8.stat().st_size
    assert report.bytes < exported.folder.onnx.stat().st_size


def test_beyond_the_limit_it_is_refused(exported, monkeypatch):
    timed_as(monkeypatch, static=1.5, dynamic=2.0)
    with pytest.raises(ConversionError) as refused:
        ONNXInt8().write(limited(exported, monkeypatch, 0.6, 0.7))
    assert str(refused.value) == (
        "--dtype int8: onnx in int8 has 70.00% validation accuracy, 10.00 points less than in "
        "float32, which is more than --max_drop 0.01. Raise --max_drop, or use --dtype float32 or "
        "float16."
    )
    assert not exported.folder.onnx_int8.exists()


def test_where_it_is_slower_float32_is_kept(exported, monkeypatch):
    timed_as(monkeypatch, static=0.5, dynamic=0.9)
    report = ONNXInt8().write(exported)
    assert report.note == (
        "int8 is not faster than float32 on this CPU (0.90 times its throughput): onnx stays "
        "float32"
    )
    assert exported.folder.onnx.is_file()
    assert not exported.folder.onnx_int8.exists()


def test_without_its_source_it_is_not_tried(exported, tmp_path):
    with pytest.raises(ConversionError, match="there is no onnx to quantize"):
        ONNXInt8().write(replace(exported, folder=ExportFolder(tmp_path)))
