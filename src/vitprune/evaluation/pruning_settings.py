"""What a scan takes from the pruning callback of a trainer."""

from dataclasses import dataclass

from lightning import Trainer

from vitprune.pruning import IterativePruning, LayerSelection, Method, OneShot


@dataclass(frozen=True)
class ScanPruning:
    """The settings of `pruning` that apply to a scan.

    Attributes:
        method: Criterion, granularity and allocation.
        layers: Layers to prune.
        calibration_images: Number of training images for calibration statistics.
        seed: Seed of random scores and of the calibration images.

    """

    method: Method
    layers: LayerSelection
    calibration_images: int
    seed: int


def pruning_of(trainer: Trainer) -> ScanPruning:
    """Return the settings of the pruning callback of a trainer; the defaults if it has none."""
    callback = next(
        (c for c in trainer.callbacks if isinstance(c, IterativePruning)),
        IterativePruning(OneShot(0.5)),  # a scan does not use the schedule
    )
    return ScanPruning(
        callback.method, callback.selection, callback.calibration_images, callback.seed
    )
