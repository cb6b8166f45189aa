"""One fine-tuning within a budget, which counts the images it trains on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightning import Callback, Trainer, seed_everything
from torch import nn

from scripts.study.budget import Budget
from scripts.study.teacher import Teacher
from vitprune.data import ImageData
from vitprune.model import ViTClassifier

WARMUP_FRACTION = 0.05  # of the steps, where a row names no other


@dataclass
class FineTuning:
    """One training of one row.

    Args:
        budget: The model, the images and how many of them are seen.
        sparsity: Target sparsity in [0, 1).
        learning_rate: Learning rate at its peak.
        seed: Seed of the order of the images, of the flips and of the calibration images.
        callbacks: Callbacks of the Trainer beside those of the row.
        images_seen: Images that passed through the model in training mode so far.

    """

    budget: Budget
    sparsity: float
    learning_rate: float
    seed: int
    callbacks: Sequence[Callback] = ()
    images_seen: int = 0

    def classifier(
        self, teacher: Teacher | None = None, *, warmup_fraction: float = WARMUP_FRACTION
    ) -> ViTClassifier:
        """Seed the generators and return the dense model in its `LightningModule`.

        Args:
            teacher: The teacher of a distillation, if any.
            warmup_fraction: Fraction of the steps in which the learning rate rises.

        """
        seed_everything(self.seed, verbose=False)
        model = ViTClassifier(
            self.budget.model,
            labels=self.budget.labels,
            learning_rate=self.learning_rate,
            warmup_fraction=warmup_fraction,
            distillation=teacher.distillation() if teacher else None,
        )
        if self.budget.device.type == "cpu":
            model.net.set_attn_implementation("eager")  # 20 % faster on a CPU
        model.net.register_forward_pre_hook(self._count, with_kwargs=True)
        return model

    def _count(self, net: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if net.training:
            self.images_seen += len(kwargs["pixel_values"])

    def fit(self, model: ViTClassifier, data: ImageData, callbacks: Sequence[Callback]) -> None:
        """Train for the whole budget."""
        Trainer(
            max_epochs=self.budget.epochs,
            accelerator=self.budget.device.type,
            devices=1,
            precision=self.budget.precision,
            gradient_clip_val=1.0,
            callbacks=[*callbacks, *self.callbacks],
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        ).fit(model, data)
