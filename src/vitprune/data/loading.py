"""The order in which images are served, and how one is made ready: both functions of (seed, epoch,
index) alone.

Nothing depends on how far a worker has come, so a run that stops after any batch goes on with
exactly the next one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data.distributed import DistributedSampler

from vitprune.data.decoding import EncodedImage, UnreadableImageError
from vitprune.data.transforms import KeyedRandomness
from vitprune.seeding import seed_for


@dataclass(frozen=True)
class Position:
    """How far training has come: this many batches of this epoch have been used."""

    epoch: int = 0
    batches: int = 0


class EpochSampler(DistributedSampler):
    """Serve (epoch, index) pairs: this rank's share of a permutation that is a function of (seed,
    epoch).

    Args:
        images: What is served; only its length counts.
        seed: Seed of the permutations; None serves the images in their own order.
        batch_size: Images in a batch, to translate a position into images.
        rank: This process, in [0, world_size).
        world_size: Number of processes.
        start: Where to begin: the batches of that epoch before it are left out.

    It is a `DistributedSampler` so that Lightning does not put another one around it. No rank
    repeats an image to even out the shares: when shuffling, the images beyond an equal share are
    left out of that epoch.

    """

    def __init__(
        self,
        images: "LabelledImages",
        *,
        seed: int | None,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        start: Position = Position(),
    ) -> None:
        super().__init__(images, num_replicas=world_size, rank=rank, shuffle=seed is not None)
        self.length, self.permutation_seed, self.batch_size, self.start = (
            len(images),
            seed,
            batch_size,
            start,
        )
        self.epoch = start.epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = torch.arange(self.length)
        if self.permutation_seed is not None:
            generator = torch.Generator().manual_seed(
                seed_for(self.permutation_seed, "order", self.epoch)
            )
            order = torch.randperm(self.length, generator=generator)[
                : len(self) * self.num_replicas
            ]
        served = self.start.batches * self.batch_size if self.epoch == self.start.epoch else 0
        for index in order[self.rank :: self.num_replicas][served:].tolist():
            yield self.epoch, index

    def __len__(self) -> int:
        if self.permutation_seed is not None:
            return self.length // self.num_replicas
        return len(range(self.rank, self.length, self.num_replicas))


class ResumableLoader(DataLoader):
    """Tells Lightning that training can go on in the middle of an epoch; the position is the data module's."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class BadImage:
    """What a worker returns for an image that is of no use; the main process decides what to do about it."""

    message: str


Sample = dict[str, Tensor] | BadImage


class ImageSamples:
    """Decode and transform images; random transforms are seeded by a key.

    Args:
        transform: What happens to an image.
        seed: Seed of the run.
        name: Of the split, for messages.

    """

    def __init__(
        self, transform: Callable[[EncodedImage], dict[str, Tensor]], seed: int, name: str
    ) -> None:
        self.transform, self.seed, self.name = transform, seed, name

    def make(self, image: dict | None, label: int, key: tuple[int, ...], place: str) -> Sample:
        """Return what the transform makes of an image, and its label; `place` is what a message calls one without a file."""
        try:
            with KeyedRandomness(seed_for(self.seed, "augment", *key)):
                return {**self.transform(EncodedImage(image)), "labels": torch.tensor(label)}
        except UnreadableImageError as error:
            where = (image and image["path"]) or place
            return BadImage(f"{where} of the {self.name} split is not a readable image: {error}")


class LabelledImages(TorchDataset):
    """Make image `index` for epoch `epoch` ready: its key is (epoch, index); an index alone is one of epoch 0."""

    def __init__(self, images: Dataset, samples: ImageSamples) -> None:
        self.images, self.samples = images, samples

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int] | int) -> Sample:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[tuple[int, int] | int]) -> list[Sample]:
        pairs = [key if isinstance(key, tuple) else (0, key) for key in keys]
        rows = self.images[
            [index for _, index in pairs]
        ]  # one look into the table for a whole batch
        places = [f"row {index}" for _, index in pairs]
        return [
            self.samples.make(*row)
            for row in zip(rows["image"], rows["label"], pairs, places, strict=True)
        ]


def collate(samples: list[Sample]) -> dict[str, Any]:
    """Stack what could be decoded: `pixel_values` uint8 (B, 3, H, W), `labels` (B,), ...; and `bad_images`, messages."""
    good = [sample for sample in samples if not isinstance(sample, BadImage)]
    bad = [sample.message for sample in samples if isinstance(sample, BadImage)]
    names = good[0] if good else ()
    return {
        "bad_images": bad,
        **{name: torch.stack([sample[name] for sample in good]) for name in names},
    }
