"""Epochs in optimizer steps."""

import math

from lightning import Trainer

from vitprune.errors import UsageError


def steps_per_epoch(trainer: Trainer) -> int:
    """Return the optimizer steps in an epoch.

    Raises:
        UsageError: If the training data have no length.

    """
    if math.isinf(trainer.num_training_batches):
        raise UsageError(
            "the training data have no length, so epochs cannot be counted in steps: give the "
            "schedule in steps."
        )
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
