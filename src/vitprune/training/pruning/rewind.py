"""What goes back to its start when a round has pruned."""

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from lightning import LightningModule, Trainer
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from vitprune.errors import UsageError
from vitprune.pruning.masks.sharding import restore, snapshot
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.training.pruning.steps import steps_per_epoch


class Rewind(ABC):
    """Something that goes back when a round has pruned."""

    def begin(self, trainer: Trainer, schedule: Schedule) -> None:  # noqa: B027 (not all need it)
        """Prepare, once the optimizers exist and a checkpoint is restored.

        Raises:
            UsageError: If it cannot work with this training.

        """

    def watch(self, trainer: Trainer, module: LightningModule) -> None:  # noqa: B027
        """Look at the weights before each training batch."""

    @abstractmethod
    def rewind(self, trainer: Trainer, module: LightningModule) -> None:
        """Go back, now that the masks of a round are written."""

    def start_afresh(self) -> None:  # noqa: B027
        """Forget what was kept of an earlier training."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:  # noqa: B027
        """Take it back."""


class LearningRate(Rewind):
    """The learning-rate schedule runs from start to end in every round (Renda et al. 2020).

    The whole schedule, warm-up and all, is compressed into the steps from one round to the next
    (from one epoch to the next if the schedule follows the metric); what comes before the first
    round is a stretch of its own.
    """

    def begin(self, trainer: Trainer, schedule: Schedule) -> None:
        """Let every `LambdaLR` look up its step in the stretched schedule; the step alone decides, so a resume is exact."""
        total = trainer.estimated_stepping_batches
        scale = steps_per_epoch(trainer) if schedule.unit == "epoch" else 1
        for config in trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            if (
                not isinstance(scheduler, LambdaLR)
                or config.interval != "step"
                or total == math.inf
            ):
                raise UsageError(
                    "LearningRate rewinds a LambdaLR with interval 'step' and a known number of "
                    "steps."
                )
            starts = sorted(
                {0, *(start * scale for start in schedule.starts(math.ceil(total / scale)))}
            )
            stretches = [*starts, int(total)]
            if any(after - before == 1 for before, after in pairwise(stretches)):
                raise UsageError(
                    "LearningRate needs more than one step between rounds, or the rate stays at "
                    "its start."
                )
            scheduler.lr_lambdas = [
                _stretched(factor, stretches) for factor in scheduler.lr_lambdas
            ]

    def rewind(self, trainer: Trainer, module: LightningModule) -> None:
        """Do nothing: the step says it all."""


def _stretched(factor: Callable[[Any], float], starts: list[int]) -> Callable[[int], float]:
    """Return a schedule that runs through all of `factor` between one start and the next; the last is the end."""

    def stretched(step: int) -> float:
        index = min(bisect_right(starts, step), len(starts) - 1)
        first, last = starts[index - 1], starts[index]
        return factor((step - first) / (last - first) * starts[-1])

    return stretched


class Weights(LearningRate):
    """Every parameter goes back to an early value, the learning rate to its start: the lottery
    ticket (Frankle et al. 2019).

    Optimizers start afresh too. Costs a copy of the parameters, in memory and in checkpoints.

    Args:
        step: Number of optimizer steps after which the parameters are kept; 0 keeps those that
            training sets out from.

    """

    def __init__(self, step: int = 0) -> None:
        if step < 0:
            raise UsageError(
                f"Weights keeps the parameters after a number of steps, not after {step}."
            )
        self.step = step
        self.start_afresh()

    def start_afresh(self) -> None:
        """Keep nothing yet."""
        self._early: dict[str, Tensor] = {}

    def begin(self, trainer: Trainer, schedule: Schedule) -> None:
        """See the base class; the early weights must be kept before the first round."""
        super().begin(trainer, schedule)
        first = schedule.begin * (steps_per_epoch(trainer) if schedule.unit == "epoch" else 1)
        if self.step > first:
            raise UsageError(
                f"Weights keeps the parameters after step {self.step}, but the first round comes "
                f"after {first}."
            )

    def watch(self, trainer: Trainer, module: LightningModule) -> None:
        """Keep the parameters when it is time."""
        if not self._early and trainer.global_step >= self.step:
            self._early = snapshot(dict(module.named_parameters()))

    def rewind(self, trainer: Trainer, module: LightningModule) -> None:
        """Put them back; masks hide those that fell."""
        restore(dict(module.named_parameters()), self._early)
        for optimizer in trainer.optimizers:
            optimizer.state.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return the early parameters."""
        return {"early": self._early}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self._early = dict(state_dict["early"])
