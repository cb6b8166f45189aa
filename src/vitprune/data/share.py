"""Which part of the data each process of a distributed run serves."""

import itertools
from dataclasses import dataclass

from lightning import Trainer


@dataclass(frozen=True)
class Share:
    """The share of one process.

    Attributes:
        rank: This process, in [0, world_size).
        world_size: Number of processes.

    """

    rank: int = 0
    world_size: int = 1

    @classmethod
    def of(cls, trainer: Trainer | None) -> "Share":
        """Return the share of a trainer's process, everything without a trainer."""
        return cls(trainer.global_rank, trainer.world_size) if trainer else cls()

    def indices(self, images: int) -> range:
        """Return the indices of this process: every `world_size`-th of `images`."""
        return range(self.rank, images, self.world_size)

    def even_batch_size(self, images: int, batch_size: int) -> int:
        """Return the smallest size, at least `batch_size`, for equally many batches on all ranks.

        The shares differ by one image at most. With sharded models, a process with one batch more
        than the others would wait for them forever.
        """
        fewest, left = divmod(images, self.world_size)
        return next(size for size in itertools.count(batch_size) if not left or fewest % size)
