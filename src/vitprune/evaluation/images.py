"""The validation images of a scan, in chunks that fit into memory."""

import itertools
import math
from collections.abc import Iterator
from typing import Protocol

import torch

from vitprune.data import ImageData
from vitprune.evaluation.replay import Batch


class Images(Protocol):
    """Images in chunks, the same ones in the same order each time."""

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        ...

    def in_chunks(self) -> Iterator[list[Batch]]:
        """Yield the batches of each chunk."""
        ...


class ValidationImages:
    """The validation images, in chunks of whole batches.

    Args:
        data: Data module with the images.
        device: Device of the batches.
        images_in_memory: Largest number of images in a chunk, at least one batch.
        limit: Number of batches to use; None for all.

    """

    def __init__(
        self, data: ImageData, device: torch.device, images_in_memory: int, limit: int | None = None
    ) -> None:
        self.data = data
        self.device = device
        self.batches_per_chunk = max(1, images_in_memory // data.batch_size)
        count = len(data.whole_validation())
        self.batches = min(count, limit or count)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return math.ceil(self.batches / self.batches_per_chunk)

    def in_chunks(self) -> Iterator[list[Batch]]:
        """Yield the batches of each chunk."""
        batches = self.data.validation_batches(self.device, self.batches)
        for _ in range(self.chunks):
            chunk = itertools.islice(batches, self.batches_per_chunk)
            yield [Batch(batch["pixel_values"], batch["labels"]) for batch in chunk]
