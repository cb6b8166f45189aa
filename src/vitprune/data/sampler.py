"""The order in which training serves images: a function of (seed, epoch)."""

from collections.abc import Iterator

import torch
from torch.utils.data.distributed import DistributedSampler

from vitprune.data.position import Position
from vitprune.data.row_samples import LabelledImages
from vitprune.data.share import Share
from vitprune.seeding import seed_for


class EpochSampler(DistributedSampler):
    """Serve (epoch, index) pairs: this rank's share of a permutation.

    Args:
        images: The images; only their number is used.
        seed: Seed of the permutations; None serves the images in their own order.
        batch_size: Images in a batch, to translate a position into images.
        share: Share of this process.
        start: Where to start; earlier batches of that epoch are skipped.

    It is a `DistributedSampler` so that Lightning does not wrap it in another one. No rank repeats
    an image to even out the shares: when shuffling, the images beyond an equal share are left out
    of that epoch.

    """

    def __init__(
        self,
        images: LabelledImages,
        *,
        seed: int | None,
        batch_size: int,
        share: Share = Share(),
        start: Position = Position(),
    ) -> None:
        super().__init__(
            images, num_replicas=share.world_size, rank=share.rank, shuffle=seed is not None
        )
        self.length = len(images)
        self.permutation_seed = seed
        self.batch_size = batch_size
        self.share = share
        self.start = start
        self.epoch = start.epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = torch.arange(self.length)
        if self.permutation_seed is not None:
            seed = seed_for(self.permutation_seed, "order", self.epoch)
            order = torch.randperm(self.length, generator=torch.Generator().manual_seed(seed))
            order = order[: len(self) * self.share.world_size]
        served = self.start.batches * self.batch_size if self.epoch == self.start.epoch else 0
        for index in order[self.share.rank :: self.share.world_size][served:].tolist():
            yield self.epoch, index

    def __len__(self) -> int:
        if self.permutation_seed is not None:
            return self.length // self.share.world_size
        return len(self.share.indices(self.length))
