"""Epochs in optimizer steps."""

import math

from lightning import Trainer

from vitprune.errors import UsageError


def steps_per_epoch(trainer: Trainer) -> int:
    """Return the optimizer steps in an epoch.

    Raises:
        UsageError: If the length of the training data is not known.

    """
    if math.isinf(trainer.num_training_batches):
        raise UsageError(
            "the length of the training data is not known, so epochs cannot be counted in steps. "
            "Set pruning.schedule.unit to step."
        )
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
