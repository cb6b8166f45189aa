"""Run by torchrun from test_ranks.py: train on every rank, leave each rank's masks and what it saw."""

import sys
from pathlib import Path

import torch
from lightning import Callback, seed_everything

from tests.conftest import TINY, quiet_trainer
from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.pruning import Column, Element, Global, IterativePruning, Linear, Magnitude, Random, Uniform, masks
from vitprune.training.checkpoints import AtomicCheckpointIO, RunCheckpoints
from vitprune.training.exact_resume import ExactResume

SETTINGS = {
    "magnitude": lambda: {"criterion": Magnitude(), "allocation": Global()},
    "random": lambda: {"criterion": Random(), "allocation": Uniform()},
    "columns": lambda: {"criterion": Magnitude(p=2), "granularity": Column(), "allocation": Global(min_density=0.1)},
    "random elements": lambda: {"criterion": Random(), "granularity": Element(), "allocation": Global()},
}


class Rounds(Callback):
    """Keep the masks of every epoch, and disturb the random numbers of the second rank."""

    def __init__(self):
        self.masks = []

    def on_train_epoch_start(self, trainer, pl_module):
        torch.rand(1 + 10 * trainer.global_rank)

    def on_train_epoch_end(self, trainer, pl_module):
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        self.masks.append({layer.name: masks.read(layer).clone() for layer in pruning.layers})


def main(folder, setting, world_size):
    seed_everything(42, verbose=False)
    architecture = {"model_type": "vit", **TINY, "initializer_range": 0.1}
    model = ViTClassifier(architecture=architecture, labels=[str(d) for d in range(10)], learning_rate=1e-2)
    data = ImageData("digits", "digits", batch_size=16, num_workers=0, max_images={"train": 99, "validation": 41})
    pruning, rounds = IterativePruning(Linear(0.75, end_epoch=2), **SETTINGS[setting]()), Rounds()
    trainer = quiet_trainer(
        folder,
        callbacks=[pruning, ExactResume(), RunCheckpoints(dirpath=str(folder)), rounds],
        enable_checkpointing=True,
        plugins=[AtomicCheckpointIO()],
        max_epochs=4,
        devices=world_size,
        strategy="ddp" if world_size > 1 else "auto",
        use_distributed_sampler=False,
    )
    trainer.fit(model, data)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    result = {"masks": rounds.masks, "weights": weights, "rounds": [vars(r) for r in pruning.rounds], "dense": pruning.dense}
    torch.save(result, Path(folder) / f"rank{trainer.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
