"""OpenVINO models give the logits of the pruned model; in int8 zeros stay zeros."""

import pytest
import torch

from tests.exports.formats.quantizable import quantizable
from tests.exports.formats.test_int8 import timed_as
from tests.exports.small_nets import linear
from tests.runs.test_write_errors import no_large_files
from vitprune.exports.formats.available import programs_in
from vitprune.exports.formats.openvino import OpenVINO
from vitprune.exports.formats.openvino_int8 import OpenVINOInt8

openvino = pytest.importorskip("openvino")
pytest.importorskip("nncf")


@pytest.mark.parametrize("exported", ["vit"], indirect=True)
def test_any_batch_size(exported):
    report = OpenVINO().write(exported)
    model = openvino.Core().compile_model(exported.folder.openvino, "CPU")
    for batch in (1, 3, 5):
        result = model(exported.images[:batch].numpy())["logits"]
        torch.testing.assert_close(
            torch.from_numpy(result), exported.logits[:batch], rtol=0, atol=1e-3
        )
    assert report.largest_logit_difference < 1e-3
    weights = sum(parameter.numel() for parameter in exported.smallest.parameters())
    graph = exported.folder.openvino.stat().st_size
    assert report.bytes < 2 * weights + graph + 2000


@pytest.mark.parametrize("exported", ["vit"], indirect=True)
def test_a_full_disk_is_not_a_model_that_cannot_be_converted(exported):
    with no_large_files(), pytest.raises(OSError, match="Input/output error") as raised:
        OpenVINO().write(exported)
    assert raised.value.filename == str(exported.folder.openvino)


@pytest.mark.slow
def test_zeros_stay_zeros(tmp_path, monkeypatch):
    exported = quantizable(tmp_path)
    OpenVINO().write(exported)
    timed_as(monkeypatch, static=2.0)
    report = OpenVINOInt8().write(exported)
    assert (report.method, report.speedup) == ("static", 2.0)
    assert 0 < report.largest_logit_difference < 0.1
    zeros = (linear(exported.net, 0, "mlp_in").weight == 0).numpy()  # (out, in)
    constants = [
        op.data
        for op in openvino.Core().read_model(exported.folder.openvino_int8).get_ops()
        if op.get_type_name() == "Constant" and op.get_element_type() == openvino.Type.i8
    ]
    stored = [each for each in constants if each.shape == zeros.shape]
    assert any((each[zeros] == 0).all() and (each != 0).mean() > 0.4 for each in stored)
    names = [program.name for program in programs_in(exported.folder)]
    assert names == ["openvino", "openvino_int8"]
