"""Training loaders of images, without an end: ours, and torchvision's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode, v2
from transformers import ViTImageProcessor

from vitprune.data import Augmentation, ImageData, Split

SIZE = 224  # pixels
MEAN = [0.5, 0.5, 0.5]
STD = [0.5, 0.5, 0.5]
SCALE = (0.25, 1.0)  # of the area of random crops

_crop = v2.RandomResizedCrop(SIZE, SCALE, interpolation=InterpolationMode.BILINEAR, antialias=True)
_normalise = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
DOCUMENTED = v2.Compose([_crop, v2.RandomHorizontalFlip(), v2.PILToTensor(), *_normalise])
FASTEST = v2.Compose([v2.PILToTensor(), _crop, v2.RandomHorizontalFlip(), *_normalise])


@dataclass(frozen=True)
class LoaderSettings:
    """What all loaders share.

    Args:
        folder: Has the images of each class in a folder of `train`.
        batch_size: Images in a batch.
        num_workers: Worker processes.

    """

    folder: Path
    batch_size: int
    num_workers: int


def torchvision_batches(settings: LoaderSettings, transform: Callable) -> Iterator[Tensor]:
    """Yield the batches of `ImageFolder` and `DataLoader`, of shape (images, 3, 224, 224)."""
    loader = DataLoader(
        ImageFolder(settings.folder / "train", transform),
        settings.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=settings.num_workers,
        persistent_workers=settings.num_workers > 0,
    )
    while True:
        for images, _ in loader:
            yield images


def our_batches(settings: LoaderSettings, *, on_cpu: bool) -> Iterator[Tensor]:
    """Yield the batches of `ImageData`, of shape (images, 3, 224, 224).

    Args:
        settings: What all loaders share.
        on_cpu: Whether to flip and normalise in this process; else batches stay uint8, as they
            are sent to a GPU.

    """
    processor = settings.folder / "processor"
    size = {"height": SIZE, "width": SIZE}
    ViTImageProcessor(size=size, image_mean=MEAN, image_std=STD).save_pretrained(processor)
    data = ImageData(
        str(settings.folder),
        str(processor),
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        augmentation=Augmentation(crop_scale=SCALE),
        split=Split(validation_fraction=0.01),
    )
    data.setup("fit")
    loader = data.train_dataloader()
    sampler = cast(DistributedSampler, loader.sampler)
    epoch = 0
    while True:
        sampler.set_epoch(epoch)
        for batch in loader:
            batch = data.on_before_batch_transfer(batch, 0)
            yield (data.on_after_batch_transfer(batch, 0) if on_cpu else batch)["pixel_values"]
        epoch += 1
