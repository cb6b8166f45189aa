"""What happens to a batch on its way from a worker to the model."""

import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.data.augmentation import flip_where
from vitprune.data.transforms import KeyedRandomness, normalise
from vitprune.errors import UsageError


class BadImages:
    """Images that no worker could make use of.

    Args:
        reaction: `error` stops at the first, `skip` counts them and goes on.

    Attributes:
        messages: One about each so far.

    """

    def __init__(self, reaction: str) -> None:
        if reaction not in ("error", "skip"):
            raise UsageError(f"data.on_bad_image must be 'error' or 'skip', not {reaction!r}.")
        self.reaction = reaction
        self.messages: set[str] = set()

    def take_from(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return what could be read of a batch; see `loading.collate`.

        Raises:
            UsageError: If that is not all, and should be, or if it is nothing.

        """
        bad = batch.pop("bad_images", [])
        if bad and self.reaction == "error":
            raise UsageError(f"{bad[0]}. Set data.on_bad_image to 'skip' to leave such images out.")
        if "pixel_values" not in batch and bad:
            raise UsageError(f"no image of a whole batch is of use; the first: {bad[0]}.")
        self.messages |= set(bad)
        return batch

    def report(self) -> None:
        """Say how many were left out by this process, and forget them."""
        if self.messages:
            warnings.warn(
                f"{len(self.messages)} images were skipped, among them: {min(self.messages)}.",
                stacklevel=2,
            )
            self.messages = set()


def finish(
    batch: dict[str, Tensor],
    processor: TorchvisionBackend,
    mix: Callable | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Flip, normalise and perhaps mix a batch on its device.

    Args:
        batch: `pixel_values`, uint8 (B, 3, H, W), `labels`, (B,), and perhaps `flip`, bool (B,):
            which images to mirror.
        processor: Says how to normalise.
        mix: See `Augmentation.mixing`; None mixes nothing.
        seed: Of the mixing.

    Returns:
        `pixel_values`, float32 (B, 3, H, W), and `labels`, class numbers, (B,), or where mixed
        probabilities, (B, classes).

    """
    images, labels = batch["pixel_values"], batch["labels"]
    if "flip" in batch:
        images = flip_where(images, batch["flip"])
    images = normalise(images, processor)
    if mix:
        with KeyedRandomness(seed):
            images, labels = mix(images, labels)
    return {"pixel_values": images, "labels": labels}
