"""Random generators and optimizer states in checkpoints, for a resume that is bit for bit exact."""

import random
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from vitprune.runs.checkpoint import GENERATORS, METRICS, OPTIMIZERS
from vitprune.training.lightning_internals import leave_finished_epoch
from vitprune.training.metric_states import metric_states, restore_metrics
from vitprune.training.optimizer_names import to_names, to_numbers


class ExactResume(Callback):
    """Save and restore the random generators of torch, CUDA, numpy and Python of every rank.

    Within an epoch, also the states of metrics. Optimizer states are saved by name of the
    parameter; see `optimizer_names`.
    """

    def __init__(self) -> None:
        self._states: list[dict[str, Any]] = []
        self._metrics: list[dict[str, Any]] = []

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Gather the states of all ranks."""
        checkpoint[GENERATORS] = _gather(trainer, generator_states())
        within_epoch = not trainer.is_last_batch
        checkpoint[METRICS] = _gather(trainer, metric_states(pl_module) if within_epoch else {})
        checkpoint[OPTIMIZERS] = to_names(trainer, pl_module, checkpoint[OPTIMIZERS])

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the states until everything else that may draw random numbers is built."""
        self._states = checkpoint.get(GENERATORS, [])
        self._metrics = checkpoint.get(METRICS, [])
        if trainer.state.fn == "fit":
            checkpoint[OPTIMIZERS] = to_numbers(trainer, checkpoint[OPTIMIZERS])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore generators and metrics; start the next epoch if the last one was finished."""
        leave_finished_epoch(trainer)
        if trainer.global_rank < len(self._states):
            restore_generators(self._states[trainer.global_rank])
        if trainer.world_size == len(self._metrics):
            restore_metrics(pl_module, self._metrics[trainer.global_rank])
        self._states = []
        self._metrics = []


def _gather(trainer: Trainer, state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the states of all ranks."""
    states: list[Any] = [state] * trainer.world_size
    if trainer.world_size > 1:
        torch.distributed.all_gather_object(states, state)
    return states


def generator_states() -> dict[str, Any]:
    """Return the states as types that `torch.load(weights_only=True)` accepts."""
    algorithm, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": (
            str(algorithm),
            torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            position,
            has_gauss,
            gauss,
        ),
        "python": random.getstate(),
    }


def restore_generators(states: dict[str, Any]) -> None:
    """Set every generator to a saved state."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.set_rng_state_all(states["cuda"])
    algorithm, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((algorithm, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    random.setstate(states["python"])
