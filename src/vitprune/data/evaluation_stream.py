"""Batches of a streamed split for evaluation: one pass in the given order."""

import itertools
from collections.abc import Iterator
from typing import Any

from torch.utils.data import IterableDataset

from vitprune.data.row_samples import ImageSamples, collate
from vitprune.data.share import Share
from vitprune.data.stream_samples import StreamSamples
from vitprune.data.streaming import StreamedSplit


class EvaluationStream(IterableDataset):
    """Batches of one rank's share: every `world_size`-th image, as shards differ in size.

    Args:
        split: The split to read.
        samples: Decodes and transforms.
        batch_size: Images in a batch.
        share: Share of this process.

    Attributes:
        readers: Number of workers that can read it together.

    """

    readers = 1

    def __init__(
        self, split: StreamedSplit, samples: ImageSamples, batch_size: int, share: Share
    ) -> None:
        self.rows = split.rows
        self.samples = StreamSamples(samples, split.features["label"].names)
        self.batch_size = batch_size
        self.indices = share.indices(split.images)

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield batches as `collate` makes them."""
        indices = self.indices
        mine = itertools.islice(self.rows, indices.start, indices.stop, indices.step)
        rows = zip(indices, mine, strict=False)
        while some := list(itertools.islice(rows, self.batch_size)):
            yield collate([self.samples.make(row, (index,), f"row {index}") for index, row in some])
