"""Rows of a split as samples: decoded, transformed, and with randomness that depends on a key.

Nothing depends on the progress of a worker, so a run that stops after any batch resumes with
exactly the next one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from vitprune.data.bad_images import BadImage
from vitprune.data.decoding import EncodedImage, UnreadableImageError
from vitprune.data.keyed_randomness import KeyedRandomness
from vitprune.seeding import seed_for

Sample = dict[str, Tensor] | BadImage


class ImageSamples:
    """Decode and transform images; random transforms are seeded by a key.

    Args:
        transform: Transform of an image.
        seed: Seed of the run.
        name: Name of the split, for messages.

    """

    def __init__(
        self, transform: Callable[[EncodedImage], dict[str, Tensor]], seed: int, name: str
    ) -> None:
        self.transform = transform
        self.seed = seed
        self.name = name

    def make(self, image: dict | None, label: int, key: tuple[int, ...], place: str) -> Sample:
        """Return the transformed image and its label.

        Args:
            image: An undecoded `datasets` image, `bytes` or `path`; None for an empty cell.
            label: Number of the class.
            key: Seeds the random transforms, together with the seed of the run.
            place: Name of an image without a file, for messages.

        """
        try:
            with KeyedRandomness(seed_for(self.seed, "augment", *key)):
                return {**self.transform(EncodedImage(image)), "labels": torch.tensor(label)}
        except UnreadableImageError as error:
            where = (image and image["path"]) or place
            return BadImage(f"{where} of the {self.name} split is not a readable image: {error}")


class LabelledImages(TorchDataset):
    """Samples by key (epoch, index); an index alone is one of epoch 0.

    Args:
        images: Rows with `image` and `label`.
        samples: Decodes and transforms.

    """

    def __init__(self, images: Dataset, samples: ImageSamples) -> None:
        self.images = images
        self.samples = samples

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int] | int) -> Sample:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[tuple[int, int] | int]) -> list[Sample]:
        pairs = [key if isinstance(key, tuple) else (0, key) for key in keys]
        rows = self.images[[index for _, index in pairs]]  # one table access for the whole batch
        places = [f"row {index}" for _, index in pairs]
        return [
            self.samples.make(*row)
            for row in zip(rows["image"], rows["label"], pairs, places, strict=True)
        ]


def collate(samples: list[Sample]) -> dict[str, Any]:
    """Stack the readable samples.

    Returns:
        `pixel_values`, uint8 (B, 3, H, W), `labels`, (B,), other tensors of the transform, and
        `bad_images`, a list of messages.

    """
    good = [sample for sample in samples if not isinstance(sample, BadImage)]
    bad = [sample.message for sample in samples if isinstance(sample, BadImage)]
    names = good[0] if good else ()
    stacked = {name: torch.stack([sample[name] for sample in good]) for name in names}
    return {"bad_images": bad, **stacked}
