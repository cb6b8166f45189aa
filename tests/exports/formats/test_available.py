"""The names of the formats, and what happens if one cannot be written."""

import pytest
from torch import nn

from vitprune.errors import UsageError
from vitprune.exports.choices import Choices
from vitprune.exports.formats import available
from vitprune.exports.formats.available import CHOICES, parse_formats, write_formats


def test_formats_by_name(monkeypatch):
    assert parse_formats("hf") == []
    assert parse_formats("onnx, hf,pt2,onnx") == ["onnx", "pt2"]
    assert set(CHOICES) == {"pt2", "onnx", "openvino", "compressed", "semi_structured"}
    with pytest.raises(
        UsageError,
        match="unknown format 'onxx'. Valid are hf, pt2, onnx, openvino, compressed, semi_",
    ):
        parse_formats("hf,onxx")
    assert parse_formats("onnx,pt2", "int8") == ["onnx", "onnx_int8", "pt2"]
    with pytest.raises(UsageError, match="none of the formats stores int8. Add onnx"):
        parse_formats("hf,pt2", "int8")
    with pytest.raises(UsageError, match="unknown format 'onnx_int8'"):
        parse_formats("onnx_int8")
    monkeypatch.setattr(
        available, "find_spec", lambda name: None
    )  # as if the extra were not installed
    with pytest.raises(
        UsageError,
        match=r"needs onnx, onnxscript, onnxruntime. Run pip install onnx onnxscript onnxruntime",
    ):
        parse_formats("onnx")


class Sized(nn.Module):
    """Reads values, which no exporter can follow."""

    def forward(self, states):
        return states * len(states[states > 0].tolist())


@pytest.mark.filterwarnings("ignore")  # of the exporter
@pytest.mark.parametrize("exported", ["vit"], indirect=True)
def test_a_model_that_cannot_be_converted_costs_only_that_format(exported):
    exported.smallest.vit.layernorm = Sized()
    written, failed = write_formats(Choices(["onnx", "pt2", "compressed"]), exported)
    assert written.keys() == {"compressed"}
    assert failed.keys() == {"onnx", "pt2"}
    for name, message in failed.items():
        assert message.startswith(f"--formats {name}: the model cannot be converted (")
        assert "\n" not in message
    assert not exported.folder.onnx.exists()
    assert not exported.folder.pt2.exists()
