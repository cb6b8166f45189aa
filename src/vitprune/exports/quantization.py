"""What programs are quantized with: images to calibrate and to evaluate on, and a limit."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vitprune.data import ImageData
from vitprune.pruning.criteria.calibration import sample
from vitprune.training.evaluate import evaluate

CPU = torch.device("cpu")
CALIBRATION_IMAGES = 128


@dataclass(frozen=True)
class Quantization:
    """Images and the limit of int8 programs.

    Attributes:
        data: Training images, to calibrate on, and validation images.
        validation_batches: Number of validation batches to evaluate on; None for all.
        accuracy: Accuracy of the exported model on these, in [0, 1].
        max_drop: Largest accepted drop of that accuracy, in [0, 1].

    """

    data: ImageData
    validation_batches: int | None
    accuracy: float
    max_drop: float

    def calibration_images(self) -> Tensor:
        """Return some training images as evaluation sees them, (B, channels, height, width)."""
        loader = self.data.calibration_dataloader()
        batches = sample(loader, CALIBRATION_IMAGES, self.data.seed)
        return torch.cat([self.data.prepare(batch, CPU)["pixel_values"] for batch, _ in batches])

    def accuracy_of(self, run: Callable[[Tensor], Tensor]) -> float:
        """Return the accuracy of a program on the validation images, in [0, 1]."""
        batches = self.data.validation_batches(CPU, self.validation_batches)
        return evaluate(run, batches).accuracy
