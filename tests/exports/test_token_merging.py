"""Exports of models that merge tokens: programs merge as well."""

from dataclasses import replace

import pytest
import torch

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.exports import onnx
from vitprune.exports.choices import Choices
from vitprune.exports.formats.available import check_choices, write_formats
from vitprune.exports.formats.pt2 import Pt2
from vitprune.exports.quantization import Quantization
from vitprune.exports.shrinking.prospects import find_prospects
from vitprune.model.token_merging import merge_tokens

pytestmark = pytest.mark.parametrize("exported", ["vit"], indirect=True)


@pytest.mark.slow
def test_programs_merge_tokens(exported):
    written, failed = write_formats(Choices(["pt2", "onnx"], token_merging=2), exported)
    assert not failed
    merge_tokens(exported.net, 2)
    with torch.no_grad():
        expected = exported.net(pixel_values=exported.images).logits
    assert not torch.allclose(expected, exported.logits, atol=1e-4)
    folder = exported.folder
    for program in (Pt2().load(folder.pt2), onnx.Runtime(folder.onnx)):
        torch.testing.assert_close(program(exported.images), expected, rtol=0, atol=1e-5)
    assert written["onnx"].largest_logit_difference < 1e-5


def test_accuracy_is_that_with_merged_tokens(exported, monkeypatch):
    """Neither the limit of int8 nor the benchmark may use that of the model without merging."""
    monkeypatch.setattr(Quantization, "accuracy_of", lambda self, run: 0.7)
    limit = Quantization(ImageData(), None, accuracy=0.9, max_drop=0.01)
    limited = replace(exported, quantization=limit)
    written, _ = write_formats(Choices(["pt2"], token_merging=2), limited)
    assert written["pt2"].accuracy == 0.7
    written, _ = write_formats(Choices(["pt2"]), limited)
    assert written["pt2"].accuracy is None


def test_formats_of_weights_are_refused(exported):
    with pytest.raises(UsageError, match="compressed stores weights, not the merging of tokens"):
        check_choices(Choices(["compressed"], token_merging=2))


def test_what_will_be_removed_does_not_depend_on_it(exported):
    before = find_prospects(exported.smallest)
    merge_tokens(exported.smallest, 2)
    assert find_prospects(exported.smallest) == before
