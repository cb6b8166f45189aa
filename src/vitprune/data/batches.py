"""What the device does to a batch: flip, normalise, mix."""

from collections.abc import Callable

from torch import Tensor
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.data.keyed_randomness import KeyedRandomness
from vitprune.data.processor import normalise
from vitprune.data.training_transform import flip_where


def finish(
    batch: dict[str, Tensor],
    processor: TorchvisionBackend,
    mix: Callable | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Flip, normalise and optionally mix a batch on its device.

    Args:
        batch: `pixel_values`, uint8 (B, 3, H, W), `labels`, (B,), and optionally `flip`, bool
            (B,): which images to mirror.
        processor: Image processor that gives the normalization.
        mix: See `Augmentation.mixing`; None mixes nothing.
        seed: Seed of the mixing.

    Returns:
        `pixel_values`, float32 (B, 3, H, W), and `labels`: class numbers, (B,), or after mixing
        class probabilities, (B, classes).

    """
    images = batch["pixel_values"]
    labels = batch["labels"]
    if "flip" in batch:
        images = flip_where(images, batch["flip"])
    images = normalise(images, processor)
    if mix:
        with KeyedRandomness(seed):
            images, labels = mix(images, labels)
    return {"pixel_values": images, "labels": labels}
