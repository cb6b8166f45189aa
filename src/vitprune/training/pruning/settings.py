"""The settings of the pruning callback."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from vitprune.errors import UsageError
from vitprune.pruning.allocation.search import Search
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.method import Method
from vitprune.pruning.regrow import RigL
from vitprune.pruning.settings import describe, first_difference
from vitprune.runs.plain_values import plain
from vitprune.runs.pruning_record import ACCURACY
from vitprune.training.pruning.accuracy_guarded import Plan
from vitprune.training.pruning.rewind.rewind import Rewind

ERRORS = ("loss", "error", "mae", "mse", "rmse", "perplexity")  # better when lower
NOT_COMPARED = ("method", "validate_after_pruning")  # the method is saved as its axes


@dataclass(frozen=True)
class PruningSettings:
    """The arguments of `IterativePruning` (see there), with the axes as one method.

    Raises:
        UsageError: If the settings do not fit together.

    """

    schedule: Plan
    method: Method
    layers: LayerSelection
    rewind: Rewind | None
    regrow: RigL | None
    calibration_images: int
    monitor: str | None
    validate_after_pruning: bool
    seed: int

    def __post_init__(self) -> None:
        """Check what needs neither a model nor a trainer."""
        if not isinstance(self.schedule, Plan):
            raise UsageError(f"schedule must be a schedule such as Cubic, not {self.schedule!r}.")
        if not isinstance(self.layers, LayerSelection):
            raise UsageError(f"layers must be a LayerSelection, not {self.layers!r}.")
        for name in ("calibration_images", "seed"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        if self.calibration_images < 1:
            raise UsageError(
                f"calibration_images must be at least 1, not {self.calibration_images}."
            )
        self._check_rewind()
        self._check_regrow()
        if self.searches and (self.monitor is None or self.monitor.lower().endswith(ERRORS)):
            raise UsageError(
                f"{_name(self.schedule)} needs a metric that is better when higher. Set "
                f"pruning.monitor to one, not {self.monitor!r}."
            )
        if self.searches and isinstance(self.method.allocation, Search):
            raise UsageError(
                "Search prunes its candidates to the final target, which "
                f"{_name(self.schedule)} does not know. Use Cubic or Linear as pruning.schedule."
            )
        self._check_drop()
        self.describe()  # refuses settings that a checkpoint could not store

    @property
    def searches(self) -> bool:
        """Whether the metric decides about the rounds, instead of a schedule."""
        return self.schedule.rounds is None

    @property
    def restores_weights(self) -> bool:
        """Whether earlier weights are restored in the course of training."""
        return self.searches or (self.rewind is not None and self.rewind.restores_weights)

    @property
    def validates_after_pruning(self) -> bool:
        """Whether each round is validated just after pruning."""
        return self.validate_after_pruning and self.monitor is not None

    @property
    def calibrates(self) -> bool:
        """Whether calibration images are needed."""
        return self.method.calibrated or self.regrow is not None

    def describe(self) -> dict[str, Any]:
        """Return the settings that a resume must share with its checkpoint, as plain values."""
        unused = () if self.calibrates or self.method.criterion.is_random else ("seed",)
        left_out = (*NOT_COMPARED, *unused)
        others = [field.name for field in fields(self) if field.name not in left_out]
        return self.method.describe() | {name: describe(getattr(self, name)) for name in others}

    def _check_drop(self) -> None:
        drop = getattr(self.schedule, "max_drop", 0.0)
        if self.monitor == ACCURACY and drop >= 1:
            raise UsageError(
                f"max_drop {drop:g} of AccuracyGuarded accepts any accuracy: {ACCURACY} lies in "
                "[0, 1]. Set it below 1; 0.02 is two points."
            )

    def _check_rewind(self) -> None:
        if self.rewind is None or not self.rewind.restores_weights:
            return
        if self.searches:
            raise UsageError(
                f"{_name(self.schedule)} restores weights itself. Use LearningRate as "
                "pruning.rewind."
            )
        updating = self.method.compensation
        if updating or self.method.criterion.updates_weights:
            raise UsageError(
                f"weight rewinding undoes the weight updates of "
                f"{_name(updating or self.method.criterion)}. "
                "Use LearningRate as pruning.rewind."
            )

    def _check_regrow(self) -> None:
        if self.regrow is None:
            return
        criterion = self.method.criterion
        if criterion.straight_through or criterion.updates_weights:
            raise UsageError(
                f"{_name(criterion)} already regrows or updates weights. Remove pruning.regrow."
            )
        rounds = self.schedule.rounds
        if rounds is None or rounds == 1:
            count = "has one" if rounds else "does not know how many it has"
            raise UsageError(
                "regrow needs a schedule with several rounds, known beforehand; "
                f"{_name(self.schedule)} {count}. Use Cubic or Linear."
            )


def check_settings(saved: Mapping[str, Any], settings: PruningSettings) -> None:
    """Raise `UsageError` with the first setting that differs from those of a saved state."""
    if difference := first_difference(saved["settings"], settings.describe()):
        raise UsageError(
            f"this checkpoint was pruned with another setting: pruning.{difference}. Resume with "
            "its settings, or start a new run from its export or weights."
        )


def _name(setting: object) -> str:
    return type(setting).__name__
