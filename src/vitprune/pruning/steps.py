"""Epochs in optimizer steps."""

import math

from lightning import Trainer


def steps_per_epoch(trainer: Trainer) -> int:
    """Return the optimizer steps in an epoch."""
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
