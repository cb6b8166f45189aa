"""Accuracy and loss of an image classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vitprune.errors import UsageError

Batch = Mapping[str, Tensor]  # pixel_values (B, 3, H, W) and labels (B,)


@dataclass(frozen=True)
class Evaluation:
    """Predictions of a classifier on some images, and its loss.

    Attributes:
        labels: Class numbers, (N,), on the CPU.
        predictions: Predicted class numbers, (N,), on the CPU.
        loss_sum: Sum of the cross-entropies.

    """

    labels: Tensor
    predictions: Tensor
    loss_sum: float

    @classmethod
    def of_logits(cls, logits: Tensor, labels: Tensor) -> Evaluation:
        """Evaluate one batch: logits, (B, classes), and labels, (B,)."""
        loss = F.cross_entropy(logits.float(), labels, reduction="sum")
        return cls(labels.cpu(), logits.argmax(dim=1).cpu(), float(loss))

    @classmethod
    def join(cls, parts: Iterable[Evaluation]) -> Evaluation:
        """Join the evaluations of several batches.

        Raises:
            UsageError: If there are none.

        """
        parts = list(parts)
        if not parts:
            raise UsageError(
                "there are no images to evaluate on. Set trainer.limit_val_batches to 1 or more."
            )
        return cls(
            torch.cat([part.labels for part in parts]),
            torch.cat([part.predictions for part in parts]),
            sum(part.loss_sum for part in parts),
        )

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def correct(self) -> int:
        """Number of images with the right class."""
        return int((self.predictions == self.labels).sum())

    @property
    def accuracy(self) -> float:
        """Share of images with the right class, in [0, 1]."""
        return self.correct / self.images

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return self.loss_sum / self.images


@torch.no_grad()
def evaluate(classify: Callable[[Tensor], Tensor], batches: Iterable[Batch]) -> Evaluation:
    """Evaluate a classifier.

    Args:
        classify: Function from normalised images, (B, 3, H, W), to logits, (B, classes), such as a
            `ViTClassifier` in evaluation mode.
        batches: Images and labels on the device of the classifier; at least one batch.

    """
    return Evaluation.join(
        Evaluation.of_logits(classify(batch["pixel_values"]), batch["labels"]) for batch in batches
    )


def batch_limit(limit: float, count: int) -> int | None:
    """Return `limit_val_batches` as a number of batches; None for all.

    Args:
        limit: A number of batches, or a fraction if it is a float; 0 stands for all.
        count: Number of batches in the split.

    """
    return (limit if isinstance(limit, int) else int(limit * count)) or None
