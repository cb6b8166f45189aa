"""The position of training in its data, and how a checkpoint stores it."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning import Trainer

from vitprune.data.share import Share
from vitprune.data.training_stream import TrainingStream
from vitprune.errors import UsageError


@dataclass(frozen=True)
class Position:
    """An epoch, and the number of its batches that training has used."""

    epoch: int = 0
    batches: int = 0

    @classmethod
    def of(cls, trainer: Trainer) -> "Position":
        """Return the position of a trainer; the end of an epoch is the start of the next one."""
        loop = trainer.fit_loop
        epoch = loop.epoch_progress.current.ready - 1
        batches = loop.epoch_loop.batch_progress.current.processed
        if batches >= trainer.num_training_batches:
            return cls(epoch + 1, 0)
        return cls(epoch, batches)


class DataPosition:
    """The position of a data module: where training starts, and what a checkpoint stores of it.

    Args:
        batch_size: Images in a batch, on each process.

    Attributes:
        start: Where training starts.
        stream: The stream that training reads, None if it reads rows by index.

    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.reset()

    def reset(self) -> None:
        """Start at the first batch."""
        self.start = Position()
        self.stream: TrainingStream | None = None
        self._stream_states: list[dict[str, Any]] = []

    def follow(self, stream: TrainingStream, workers: int) -> None:
        """Count the used batches of a stream, from the position of the checkpoint on.

        Args:
            stream: The stream that training reads.
            workers: Number of data workers that read it.

        """
        self.stream = stream
        if self._stream_states:
            stream.load_state_dict(self._stream_states[stream.share.rank], workers)

    def state_dict(self, trainer: Trainer) -> dict[str, Any]:
        """Return the position; of a stream, also the positions of every rank's workers."""
        state: dict[str, Any] = asdict(Position.of(trainer))
        state["images_at_a_time"] = self._global_batch_size(trainer)
        if self.stream:
            streams = [self.stream.state_dict()]
            if trainer.world_size > 1:
                streams = streams * trainer.world_size
                torch.distributed.all_gather_object(streams, self.stream.state_dict())
            state["streams"] = streams
        return state

    def load_state_dict(self, state: dict[str, Any], trainer: Trainer | None) -> None:
        """Resume at the position of a checkpoint.

        Raises:
            UsageError: If batches have another size in the middle of an epoch, or a stream was read
                by another number of processes.

        """
        now = self._global_batch_size(trainer)
        before = state.get("images_at_a_time", now)
        if state["batches"] and before != now:
            raise UsageError(
                f"the checkpoint was saved within an epoch of batches of {before} images, summed "
                f"over all processes, but this run has {now}. Resume with {before} "
                "(data.batch_size is that of one process)."
            )
        streams = state.get("streams", [])
        ranks = Share.of(trainer).world_size
        if streams and len(streams) != ranks:
            raise UsageError(
                f"the checkpoint's stream was read by {len(streams)} processes, but this run has "
                f"{ranks}. Resume with {len(streams)}."
            )
        self.start = Position(state["epoch"], state["batches"])
        self._stream_states = streams

    def _global_batch_size(self, trainer: Trainer | None) -> int:
        """Return the images in a batch of all processes together."""
        return self.batch_size * Share.of(trainer).world_size
