"""The progress of a search for the highest sparsity that the accuracy allows."""

from typing import Any

from lightning import LightningModule, Trainer
from torch import Tensor

from vitprune.pruning.masks import Masks
from vitprune.pruning.masks.masks import State
from vitprune.pruning.masks.sharding import restore, snapshot
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.training.probe import announce
from vitprune.training.pruning.accuracy_guarded import AccuracyGuarded, Plan

SAVED = (
    "highest",
    "targets",
    "good_sparsity",
    "step",
    "failures",
    "is_good",
    "retreating",
    "good",
    "good_masks",
)


class Search:
    """The progress of an `AccuracyGuarded` search, with the weights and masks of its good state.

    Args:
        guarded: Its settings.
        sparsity: Sparsity of the model before the first round.
        highest: The highest sparsity that the layers can reach.

    Attributes:
        highest: The sparsity at which the search ends.
        targets: Target sparsity of each round so far and of the next.
        good_sparsity: The last sparsity whose metric was within the threshold.
        step: Sparsity that the next round adds.
        failures: Validations below the threshold since the last round.
        is_good: Whether the last validation was within the threshold.
        retreating: Whether the last round was given up, so that the next restores the good state.
        good: The module's state dictionary in the good state, whole tensors on the CPU.
        good_masks: The masks in the good state, as `Masks.state_dict` returns them.

    """

    def __init__(
        self, guarded: AccuracyGuarded, sparsity: float = 0.0, highest: float = 1.0
    ) -> None:
        self.guarded = guarded
        self.highest = min(guarded.max_sparsity, highest)
        self.targets = [min(sparsity + guarded.step, self.highest)]
        self.good_sparsity = sparsity
        self.step = guarded.step
        self.failures = 0
        self.is_good = False
        self.retreating = False
        self.good: dict[str, Tensor] = {}
        self.good_masks: State = {}

    @property
    def rounds(self) -> int:
        """The number of rounds so far, including the next one."""
        return len(self.targets)

    def rounds_due(self, position: int) -> int:
        """Return the number of rounds due by the start of epoch `position`."""
        return self.rounds if position >= self.guarded.begin else 0

    def sparsity(self, round: int) -> float:
        """Return the target sparsity of a round, from 1."""
        return self.targets[round - 1]

    def finished(self, rounds: int) -> bool:
        """Return whether the model is in a good state, which may be exported, after `rounds`."""
        return self.is_good and self.good_sparsity == self.targets[rounds - 1]

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to try."""
        return self.step < self.guarded.min_step or self.good_sparsity >= self.highest

    def observe(self, metric: float, dense: float) -> bool:
        """Decide about the next round by the metric now and of the dense model.

        Returns:
            Whether this is a good state.

        """
        self.retreating = False
        self.is_good = metric >= dense - self.guarded.max_drop
        if self.is_good:
            self.good_sparsity = self.targets[-1]
            self.failures = 0
        else:
            self.failures += 1
            if self.failures < self.guarded.patience:
                return False
            self.failures = 0
            self.retreating = True
            self._halve_step()
        if not self.ended:
            self.targets.append(min(self.good_sparsity + self.step, self.highest))
        return self.is_good

    def _halve_step(self) -> None:
        """Halve the step, until the next sparsity is below the one that failed."""
        failed = self.targets[-1]
        self.step /= 2
        while not self.ended and min(self.good_sparsity + self.step, self.highest) >= failed:
            self.step /= 2

    def keep(self, module: LightningModule, masks: Masks) -> None:
        """Keep the weights and masks of a module as the good state."""
        self.good = snapshot(module.state_dict())
        self.good_masks = masks.state_dict()

    def judge(
        self,
        trainer: Trainer,
        module: LightningModule,
        masks: Masks,
        metric: float,
        dense: float,
    ) -> None:
        """Decide about the next round, keep a good state, and stop the training at the end."""
        if self.observe(metric, dense):
            self.keep(module, masks)
        trainer.should_stop = trainer.should_stop or self.ended

    def settle(self, trainer: Trainer, module: LightningModule, masks: Masks, rounds: int) -> None:
        """End the training with the good state; `rounds` are done."""
        if not self.finished(rounds):
            self.return_to_good(trainer, module, masks)
        if not self.ended:
            announce(
                "Training stopped before the pruning schedule finished. Increase "
                "trainer.max_epochs to prune further."
            )

    def return_to_good(self, trainer: Trainer, module: LightningModule, masks: Masks) -> None:
        """Restore the good state, with empty optimizer states."""
        restore(module.state_dict(), self.good)
        masks.load_state_dict(self.good_masks)
        for optimizer in trainer.optimizers:
            optimizer.state.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return the progress, in types that `torch.load(weights_only=True)` accepts."""
        saved = {name: getattr(self, name) for name in SAVED}
        return saved | {"targets": list(self.targets), "ended": self.ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the progress."""
        for name in SAVED:
            setattr(self, name, state_dict[name])
        self.targets = list(self.targets)


def start(plan: Plan, sparsity: float = 0.0, highest: float = 1.0) -> Schedule | Search:
    """Return a schedule as it is, and `AccuracyGuarded` as a new search; see `Search`."""
    return Search(plan, sparsity, highest) if isinstance(plan, AccuracyGuarded) else plan
