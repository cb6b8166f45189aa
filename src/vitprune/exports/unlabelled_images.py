"""Images without labels, for calibration and to compare models on."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vitprune.data import ImageData
from vitprune.data.unlabelled import holds_images
from vitprune.errors import UsageError
from vitprune.pruning.criteria.calibration import BATCH_SIZE, sample


def sample_images(model: str, images: str, count: int, seed: int) -> Iterator[Tensor]:
    """Yield normalised images in batches, in random order."""
    if holds_images(images):
        data = ImageData(processor=model, predict_images=images, batch_size=BATCH_SIZE)
        loader = data.predict_dataloader()
    else:
        data = ImageData(images, model, batch_size=BATCH_SIZE)
        loader = data.calibration_dataloader()
    device = torch.device("cpu")
    for batch, _ in sample(loader, count, seed):
        yield data.prepare(batch, device)["pixel_values"]


def divide(
    batches: Iterator[Tensor], calibration: int, folder: str
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the batches for calibration, and those that are held out."""
    every = torch.cat(list(batches))
    if len(every) <= calibration:
        raise UsageError(
            f"--images {folder!r} holds {len(every)} readable images, and calibration takes "
            f"{calibration}, which leaves none to compare on. Set --calibration_images to "
            f"{len(every) * 4 // 5} or less."
        )
    return list(every[:calibration].split(BATCH_SIZE)), list(every[calibration:].split(BATCH_SIZE))
