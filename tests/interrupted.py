"""Runs that may end without any warning, and the comparison of what is left of two of them."""

import random

import numpy as np
import torch
from lightning import Callback

from tests.conftest import quiet_trainer
from vitprune.runs.checkpoint_io import AtomicCheckpointIO
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.exact_resume import ExactResume


class PowerLoss(Exception):
    pass


class Interrupt(Callback):
    """End the run after so many batches, as a power loss would."""

    def __init__(self, after_batches):
        self.left = after_batches

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.left == 0:
            raise PowerLoss
        self.left -= 1


def train(
    folder,
    model,
    data,
    pruning,
    after_batches=-1,
    ckpt=None,
    callbacks=(),
    every_n_steps=None,
    monitor="val/accuracy",
    **options,
):
    """Return everything that a finished run has come to, None for an interrupted one."""
    checkpoints = RunCheckpoints(monitor, every_n_steps)
    trainer = quiet_trainer(
        folder,
        callbacks=[Interrupt(after_batches), pruning, ExactResume(), checkpoints, *callbacks],
        enable_checkpointing=True,
        plugins=[AtomicCheckpointIO()],
        **options,
    )
    try:
        trainer.fit(model, data, ckpt_path=ckpt, weights_only=True)
    except PowerLoss:
        return None
    return {
        "weights": model.state_dict(),
        "optimizer": trainer.optimizers[0].state_dict(),
        "schedule": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
        "rounds": pruning.state.rounds,
        "dense": pruning.state.dense,
        "metrics": {k: float(v) for k, v in trainer.callback_metrics.items() if "/" in k},
        "steps": (trainer.global_step, trainer.current_epoch),
        "position": data.state_dict(),
        "random": (torch.rand(3), np.random.rand(3).tolist(), random.random()),
    }


def assert_same(a, b, path=""):
    assert type(a) is type(b), path
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{path}[{i}]")
    else:
        assert a == b, path
