"""What a pruning callback remembers, and puts into checkpoints."""

from dataclasses import asdict
from typing import Any

from lightning import Callback
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.masks.sharding import snapshot
from vitprune.pruning.method import Method
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.pruning.settings import describe, first_difference
from vitprune.runs.checkpoint import PRUNING_FORMAT
from vitprune.training.pruning.good_state import GoodState
from vitprune.training.pruning.rewind import Rewind
from vitprune.training.pruning.rounds import Round

SETTINGS = ("schedule", "rewind", "regrow", "calibration_images", "monitor", "seed")


class ResumablePruning(Callback):
    """The state of a pruning callback, and its way into a checkpoint and back.

    Attributes:
        rounds: What the rounds so far did.
        dense: The module's validation metrics before the first round.
        dense_zeros: Exact zeros among its parameters before the first round.
        dense_sparsity: Share of the prunable weights that was zero then.
        learned: What the training has taught the criterion, by name of the layer.
        good: What the schedule last found good, if it asks for that.

    """

    schedule: Schedule
    method: Method
    rewind: Rewind | None
    selection: LayerSelection

    def start_afresh(self) -> None:
        """Remember nothing."""
        self.schedule.start_afresh()
        if self.rewind:
            self.rewind.start_afresh()
        self.rounds: list[Round] = []
        self.dense: dict[str, float] = {}
        self.dense_zeros: int | None = None
        self.dense_sparsity = 0.0
        self.learned: dict[str, Tensor] = {}
        self.good = GoodState(self.schedule)

    @property
    def sparsity(self) -> float:
        """The sparsity reached so far, over the prunable weights."""
        return self.rounds[-1].sparsity if self.rounds else self.dense_sparsity

    @property
    def target(self) -> float:
        """The sparsity that the schedule asks for now."""
        return self.rounds[-1].target if self.rounds else 0.0

    @property
    def finished(self) -> bool:
        """Whether the model is at its final sparsity."""
        return self.schedule.finished(len(self.rounds))

    @property
    def settings(self) -> dict[str, Any]:
        """What must not change between a checkpoint and its resume, as plain values."""
        return self.method.describe() | describe(
            {**{name: getattr(self, name) for name in SETTINGS}, "layers": self.selection}
        )

    def state_dict(self) -> dict[str, Any]:
        """Return rounds, dense metrics and settings, in plain types (a checkpoint is loaded with `weights_only`)."""
        return {
            "format": PRUNING_FORMAT,
            "rounds": [asdict(r) for r in self.rounds],
            "dense": dict(self.dense),
            "dense_zeros": self.dense_zeros,
            "dense_sparsity": self.dense_sparsity,
            "finished": self.finished,
            "settings": self.settings,
            "schedule": self.schedule.state_dict(),
            "rewind": self.rewind.state_dict() if self.rewind else {},
            "learned": snapshot(self.learned),
            "good": self.good.tensors,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint stopped.

        Raises:
            UsageError: If it was written with other settings; the message names the first
                difference.

        """
        difference = first_difference(state_dict["settings"], self.settings)
        if difference:
            raise UsageError(
                f"the checkpoint was pruned with another setting: pruning.{difference}. "
                "Resume with its settings, or start a new run from its export."
            )
        self.rounds = [Round(**values) for values in state_dict["rounds"]]
        self.dense = dict(state_dict["dense"])
        self.dense_zeros, self.dense_sparsity = (
            state_dict["dense_zeros"],
            state_dict.get("dense_sparsity", 0.0),
        )
        self.schedule.load_state_dict(state_dict["schedule"])
        if self.rewind:
            self.rewind.load_state_dict(state_dict["rewind"])
        self.learned, self.good.tensors = dict(state_dict["learned"]), dict(state_dict["good"])
