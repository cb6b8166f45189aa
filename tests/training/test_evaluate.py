"""Accuracy and loss, against scikit-learn and torch over all images at once."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score

from vitprune.training.evaluate import Evaluation, evaluate


@pytest.mark.parametrize("sizes", [[10], [4, 4, 2], [1] * 10])
def test_batches_of_any_size_give_the_same(sizes):
    torch.manual_seed(0)
    logits, labels = torch.randn(10, 3), torch.randint(3, (10,))
    batches = [
        {"pixel_values": x, "labels": y}
        for x, y in zip(logits.split(sizes), labels.split(sizes), strict=True)
    ]
    result = evaluate(lambda images: images, batches)
    assert result.images == 10
    assert result.accuracy == pytest.approx(accuracy_score(labels, logits.argmax(dim=1)))
    assert result.loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-6)
    assert torch.equal(result.labels, labels)
    assert torch.equal(result.predictions, logits.argmax(dim=1))


def test_a_hand_written_batch():
    logits = torch.tensor([[0.0, 9.0], [9.0, 0.0], [0.0, 9.0]])
    result = Evaluation.of_logits(logits, torch.tensor([1, 1, 0]))
    assert (result.correct, result.images) == (1, 3)
    assert result.predictions.tolist() == [1, 0, 1]


def test_half_precision_logits_are_summed_in_float32():
    logits = torch.randn(64, 5, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    labels = torch.zeros(64, dtype=torch.long)
    expected = float(F.cross_entropy(logits.float(), labels, reduction="sum"))
    assert Evaluation.of_logits(logits, labels).loss_sum == expected
