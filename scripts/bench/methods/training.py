"""A short training on digits, without logs and checkpoints."""

from collections.abc import Sequence

from lightning import Callback, Trainer

from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.pruning import (
    Criterion,
    Fisher,
    Magnitude,
    Movement,
    Random,
    SparseGPT,
    Taylor,
    Wanda,
)
from vitprune.training.exact_resume import ExactResume

CRITERIA: dict[str, type[Criterion]] = {
    kind.__name__: kind for kind in (Random, Magnitude, Taylor, Fisher, Wanda, SparseGPT, Movement)
}
LEARNING_RATE = 1e-3


def train(
    model: ViTClassifier, data: ImageData, epochs: int, callbacks: Sequence[Callback] = ()
) -> float:
    """Train and return the validation accuracy at the end, in [0, 1]."""
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="auto",
        callbacks=[*callbacks, ExactResume()],
        check_val_every_n_epoch=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    trainer.fit(model, data)
    return float(trainer.callback_metrics["val/accuracy"])
