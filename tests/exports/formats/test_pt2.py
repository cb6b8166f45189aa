"""A program for torch alone gives the logits of the pruned model."""

from dataclasses import replace

import pytest
import torch

from tests.runs.test_write_errors import no_large_files
from vitprune.exports.formats.pt2 import Pt2

pytestmark = pytest.mark.parametrize("exported", ["vit"], indirect=True)


def test_a_program_for_torch_alone(exported):
    report = Pt2().write(exported)
    program = torch.export.load(exported.folder.pt2).module()
    for batch in (1, 3, 5):
        torch.testing.assert_close(
            program(exported.images[:batch]), exported.logits[:batch], rtol=0, atol=1e-5
        )
    assert report.largest_logit_difference < 1e-5
    assert report.top1_agreement == 1.0
    assert report.images == 5
    weights = sum(parameter.numel() for parameter in program.parameters())
    assert weights == sum(parameter.numel() for parameter in exported.smallest.parameters())


def test_any_batch_size_where_one_image_is_compared(exported):
    report = Pt2().write(replace(exported, images=exported.images[:1], logits=exported.logits[:1]))
    assert report.largest_logit_difference < 1e-5
    program = Pt2().load(exported.folder.pt2)
    torch.testing.assert_close(program(exported.images), exported.logits, rtol=0, atol=1e-5)


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(exported):
    with no_large_files(), pytest.raises(OSError, match="File too large"):
        Pt2().write(exported)
