"""How far training has come in its data, and the way of that into a checkpoint and back."""

from dataclasses import asdict
from typing import Any

import torch
from lightning import LightningDataModule

from vitprune.data.image_streams import TrainingStream
from vitprune.data.loading import Position
from vitprune.errors import UsageError


class ResumableData(LightningDataModule):
    """A data module with a position.

    Attributes:
        batch_size: Images in a batch, on each process.
        position: Where training begins.
        stream: What training images are read from, if they are streamed.

    """

    batch_size: int

    def __init__(self) -> None:
        super().__init__()
        self.start_afresh()

    def start_afresh(self) -> None:
        """Begin with the first batch."""
        self.position = Position()
        self.stream: TrainingStream | None = None
        self._stream_states: list[dict[str, Any]] = []

    def follow(self, stream: TrainingStream, workers: int) -> None:
        """Count what is used of a stream, from where the checkpoint's stopped."""
        self.stream = stream
        if self._stream_states:
            stream.load_state_dict(self._stream_states[stream.rank], workers)

    @property
    def images_at_a_time(self) -> int:
        """Images in a batch of all processes together."""
        return self.batch_size * (self.trainer.world_size if self.trainer else 1)

    @property
    def now(self) -> Position:
        """The epoch, and how many of its batches have been used; a finished epoch is the next one's start."""
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        epoch, batches = (
            loop.epoch_progress.current.ready - 1,
            loop.epoch_loop.batch_progress.current.processed,
        )
        return (
            Position(epoch + 1, 0)
            if batches >= self.trainer.num_training_batches
            else Position(epoch, batches)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the position; of a stream, also where every rank's workers are in it."""
        state: dict[str, Any] = {**asdict(self.now), "images_at_a_time": self.images_at_a_time}
        if self.stream:
            streams = [self.stream.state_dict()]
            if self.trainer.world_size > 1:
                streams = streams * self.trainer.world_size
                torch.distributed.all_gather_object(streams, self.stream.state_dict())
            state["streams"] = streams
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from that position.

        Raises:
            UsageError: If batches have another size in the middle of an epoch, or a stream was read
                by another number of processes.

        """
        before, now = (
            state_dict.get("images_at_a_time", self.images_at_a_time),
            self.images_at_a_time,
        )
        if state_dict["batches"] and before != now:
            raise UsageError(
                f"the checkpoint is in the middle of an epoch of batches of {before} images on all "
                f"processes together, and here they have {now}: resume with as many "
                "(data.batch_size is that of one process)."
            )
        self.position = Position(state_dict["epoch"], state_dict["batches"])
        self._stream_states = state_dict.get("streams", [])
        ranks = self.trainer.world_size if self.trainer else 1
        if self._stream_states and len(self._stream_states) != ranks:
            raise UsageError(
                f"the checkpoint's stream was read by {len(self._stream_states)} processes, and "
                f"here are {ranks}."
            )
