"""Learning-rate rewinding."""

import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from lightning import LightningModule, Trainer
from torch.optim.lr_scheduler import LambdaLR

from vitprune.errors import UsageError
from vitprune.training.pruning.accuracy_guarded import Plan
from vitprune.training.pruning.rewind.rewind import EarlyWeights, Rewind
from vitprune.training.pruning.steps import steps_per_epoch


class LearningRate(Rewind):
    """Run the learning-rate schedule from start to end in every round.

    The whole schedule, including its warm-up, is compressed into the steps between two rounds
    (between two epochs with `AccuracyGuarded`). The steps before the first round get a full
    schedule, too.

    Source: Renda et al. 2020.
    """

    def prepare(self, trainer: Trainer, plan: Plan) -> None:
        """Compress every `LambdaLR`. Rates depend on the step alone, so a resume is exact.

        Raises:
            UsageError: If a scheduler is no `LambdaLR` by steps, or a round has a single step.

        """
        total = trainer.estimated_stepping_batches
        scale = steps_per_epoch(trainer) if plan.unit == "epoch" else 1
        for config in trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            by_step = isinstance(scheduler, LambdaLR) and config.interval == "step"
            if not by_step or total == math.inf:
                raise UsageError(
                    f"{type(self).__name__} needs a LambdaLR scheduler with interval 'step' and "
                    "a known number of training steps."
                )
            rounds = plan.starts(math.ceil(total / scale))
            starts = sorted({0, *(start * scale for start in rounds)})
            stretches = [*starts, int(total)]
            if any(after - before == 1 for before, after in pairwise(stretches)):
                raise UsageError(
                    f"{type(self).__name__} needs more than one step between two rounds. Increase "
                    "pruning.schedule.every."
                )
            scheduler.lr_lambdas = [
                _compressed(factor, stretches) for factor in scheduler.lr_lambdas
            ]

    def rewind(self, trainer: Trainer, module: LightningModule, early: EarlyWeights) -> None:
        """Do nothing: the learning rate depends on the step alone."""


def _compressed(factor: Callable[[Any], float], starts: list[int]) -> Callable[[int], float]:
    """Return a schedule that runs through `factor` between two starts; the last is the end."""

    def compressed(step: int) -> float:
        index = min(bisect_right(starts, step), len(starts) - 1)
        first, last = starts[index - 1], starts[index]
        return factor((step - first) / (last - first) * starts[-1])

    return compressed
