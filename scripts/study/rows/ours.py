"""Rows that prune with `IterativePruning`."""

from dataclasses import dataclass, replace

from torch import nn

from scripts.study.budget import CALIBRATION_IMAGES, Budget
from scripts.study.fine_tuning import WARMUP_FRACTION, FineTuning
from scripts.study.rows.groups import Groups
from scripts.study.rows.rounds import Rounds
from scripts.study.rows.row import Row, joined
from scripts.study.teacher import Teacher
from vitprune.pruning import (
    Allocation,
    Criterion,
    Element,
    IterativePruning,
    LearningRate,
    Magnitude,
    OneShot,
    Schedule,
    SparseGPT,
    Uniform,
)


@dataclass(frozen=True)
class Ours(Row):
    """Prune with `IterativePruning`; by default one-shot, by magnitude, each layer alike.

    The name lists the settings that differ from these defaults.

    Args:
        groups: Pruning granularity; single weights by default.
        allocation: How the sparsity is distributed over the layers.
        criterion: Importance score.
        teacher: The teacher of a distillation, if any.
        rounds: Iterative pruning; None is one-shot, before the first step.
        rewind_learning_rate: Whether the learning rate restarts in every round.
        warmup_fraction: Fraction of the steps in which the learning rate rises.
        calibration_images: Training images that a data-driven criterion sees in each round.
        random_crops: Whether training images are cropped at random.
        batch_size: Images in an optimizer step.
        in_order: Whether `SparseGPT` fits the remaining weights again, layer after layer.

    """

    groups: Groups | None = None
    allocation: type[Allocation] = Uniform
    criterion: type[Criterion] = Magnitude
    teacher: Teacher | None = None
    rounds: Rounds | None = None
    rewind_learning_rate: bool = False
    warmup_fraction: float = WARMUP_FRACTION
    calibration_images: int = CALIBRATION_IMAGES
    random_crops: bool = False
    batch_size: int = Budget.batch_size
    in_order: bool = False

    @property
    def name(self) -> str:
        """See the base class."""
        warmup = f"{self.warmup_fraction:.0%} warm-up"
        images = f"{self.calibration_images} calibration images"
        differences = joined(
            self.groups.name if self.groups else None,
            self.allocation.__name__ if self.allocation is not Uniform else None,
            self.criterion.__name__ if self.criterion is not Magnitude else None,
            self.teacher.name if self.teacher else None,
            self.rounds.name if self.rounds else None,
            "learning-rate rewinding" if self.rewind_learning_rate else None,
            warmup if self.warmup_fraction != WARMUP_FRACTION else None,
            images if self.calibration_images != CALIBRATION_IMAGES else None,
            "random crops" if self.random_crops else None,
            f"batches of {self.batch_size}" if self.batch_size != Budget.batch_size else None,
            "in order" if self.in_order else None,
        )
        return differences or "one-shot magnitude"

    def check(self, budget: Budget) -> None:
        """Refuse a budget with too few steps for the rounds, or that the batches do not divide.

        Raises:
            SystemExit: If there are fewer steps than rounds, or batches of this size see another
                number of images.

        """
        batches = replace(budget, batch_size=self.batch_size)
        if batches.images_seen != budget.images_seen:
            raise SystemExit(
                f"{self.name}: batches of {self.batch_size} see {batches.images_seen} images, and "
                f"the budget is {budget.images_seen}. Set --images to a multiple of both batches."
            )
        self.schedule(0.5, batches.steps)

    def schedule(self, sparsity: float, steps: int) -> Schedule:
        """Return the schedule of a training of so many steps."""
        return self.rounds.schedule(sparsity, steps) if self.rounds else OneShot(sparsity)

    def train(self, tuning: FineTuning) -> nn.Module:
        """See the base class."""
        budget = replace(tuning.budget, batch_size=self.batch_size)
        model = tuning.classifier(self.teacher, warmup_fraction=self.warmup_fraction)
        pruning = IterativePruning(
            self.schedule(tuning.sparsity, budget.steps),
            SparseGPT(in_order=True) if self.in_order else self.criterion(),
            self.groups.granularity() if self.groups else Element(),
            self.allocation(),
            rewind=LearningRate() if self.rewind_learning_rate else None,
            calibration_images=self.calibration_images,
            monitor=None,
        )
        data = budget.data(crop_scale=(0.5, 1.0) if self.random_crops else None)
        tuning.fit(model, data, [pruning])
        return model.net
