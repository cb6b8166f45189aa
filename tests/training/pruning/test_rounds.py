"""The log line of a round."""

import pytest

from vitprune.training.pruning.rounds import Round


@pytest.mark.parametrize(
    ("pruned", "finetuned", "end"),
    [
        (0.9533, 0.99, " val/accuracy 0.9533 after pruning, 0.9900 after fine-tuning"),
        (None, 0.99, " val/accuracy 0.9900 after fine-tuning"),
        (None, None, ""),
    ],
)
def test_the_metric_after_pruning_and_after_fine_tuning(pruned, finetuned, end):
    ended = Round(6, 20, 360, 0.8, 0.8, 0.8, pruned=pruned, finetuned=finetuned)
    line = ended.line(6, "val/accuracy")
    assert line == f"round 6/6 epoch 20 sparsity 80.00%{end}"
    assert len(line) <= 100
