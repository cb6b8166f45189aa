"""The names of the formats."""

import pytest

from vitprune.errors import UsageError
from vitprune.exports import formats
from vitprune.exports.formats import FORMATS, parse_formats


def test_formats_by_name(monkeypatch):
    assert parse_formats("hf") == []
    assert parse_formats("onnx, hf,pt2,onnx") == ["onnx", "pt2"]
    assert set(FORMATS) == {"pt2", "onnx", "compressed", "semi_structured"}
    with pytest.raises(
        UsageError,
        match="unknown format 'onxx'. Valid are hf, pt2, onnx, compressed, semi_structured",
    ):
        parse_formats("hf,onxx")
    monkeypatch.setattr(
        formats, "find_spec", lambda name: None
    )  # as if the extra were not installed
    with pytest.raises(
        UsageError,
        match=r"needs onnx, onnxscript, onnxruntime. Run pip install onnx onnxscript onnxruntime",
    ):
        parse_formats("onnx")
