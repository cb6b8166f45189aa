"""How much, now: as much as the accuracy allows."""

from collections.abc import Sequence
from typing import Any

from vitprune.errors import UsageError
from vitprune.pruning.schedules.schedule import Schedule

STATE = ("targets", "good", "step", "waited", "is_good", "retreating")


class AccuracyGuarded(Schedule):
    """Prune further while the accuracy holds; else fine-tune on; if that does not help go back, and
    try half the step.

    s_(r+1) = s_good + step, where s_good is the last good sparsity: a backtracking search, of our
    own. After each validation that follows a round: within `max_drop` of the dense model, the state
    is good, and the next epoch prunes `step` more. Below, fine-tuning goes on; after `patience`
    validations the last good masks and weights return and the step is halved. Training ends when
    the step falls below `min_step`, or at `max_sparsity`, and with the last good state; the best
    checkpoint is the sparsest good one. The length of training is not known beforehand:
    `trainer.max_epochs` is a limit, and where the learning rate has fallen to nothing. With
    `LearningRate` as rewind it falls in every epoch instead, so that late rounds recover as well as
    early ones. Costs a copy of the model in memory and in checkpoints, and the epochs of the rounds
    that are given up.

    Example:
        `AccuracyGuarded(step=0.1, max_drop=0.01)` on a dense accuracy of 0.987 goes on while it
        stays at or above 0.977.

    Args:
        step: Sparsity added in a round, in (0, 1).
        max_drop: Tolerated loss of the monitored metric against the dense model, at its best before
            the first round; absolute: 0.01 is one point of accuracy.
        patience: Validations, at the end of epochs, that a round may take to recover.
        min_step: Smallest step that is tried, in (0, step].
        max_sparsity: Sparsity that is enough, in (0, 1); or what can be reached at all, if that is
            less.
        begin_epoch: Epoch at whose start the first round is due.

    """

    observes = True

    def __init__(
        self,
        step: float = 0.1,
        max_drop: float = 0.01,
        patience: int = 3,
        min_step: float = 0.01,
        max_sparsity: float = 0.99,
        begin_epoch: int = 0,
    ) -> None:
        if not 0 < min_step <= step < 1:
            raise UsageError(
                f"AccuracyGuarded needs 0 < min_step <= step < 1, not {min_step} and {step}."
            )
        if max_drop < 0 or patience < 1:
            raise UsageError(
                f"AccuracyGuarded needs max_drop >= 0 and patience >= 1, not {max_drop} and "
                f"{patience}."
            )
        super().__init__(max_sparsity, begin_epoch=begin_epoch, end_epoch=begin_epoch)
        self._most = max_sparsity
        self.step, self.max_drop, self.patience, self.min_step = step, max_drop, patience, min_step
        self.start_afresh()

    def start_afresh(self, sparsity: float = 0.0) -> None:
        """See the base class."""
        self._targets = [min(sparsity + self.step, self._most)]
        self._good, self._step, self._waited = sparsity, self.step, 0
        self._is_good = self._retreating = False

    @property
    def rounds(self) -> int:
        """The rounds so far, and the one that is due next."""
        return len(self._targets)

    def rounds_due(self, position: int) -> int:
        """See the base class."""
        return self.rounds if position >= self.begin else 0

    def starts(self, end: int) -> Sequence[int]:
        """Return every epoch, as what one shows decides about the next."""
        return range(self.begin, end)

    def keep_within(self, most: float) -> None:
        """Stop there at the latest."""
        self._most = min(self.final_sparsity, most)

    def sparsity(self, round: int) -> float:
        """Return the sparsity that was decided for a round."""
        return self._targets[round - 1]

    def sparsity_at(self, x: float) -> float:
        """Nothing is planned ahead: the sparsity of the last round."""
        return self._targets[-1]

    def finished(self, rounds: int) -> bool:
        """Return whether the state is good: each is a result, until a sparser one is found."""
        return self._is_good and self._good == self._targets[rounds - 1]

    @property
    def ended(self) -> bool:
        """Whether no step is left to try."""
        return self._step < self.min_step or self._good >= self._most

    @property
    def retreating(self) -> bool:
        """Whether the last round was given up."""
        return self._retreating

    def observe(self, metric: float, dense: float) -> bool:
        """Decide about the next epoch."""
        self._retreating = False
        self._is_good = metric >= dense - self.max_drop
        if self._is_good:
            self._good, self._waited = self._targets[-1], 0
        else:
            self._waited += 1
            if self._waited < self.patience:
                return False
            self._waited, self._step, self._retreating = 0, self._step / 2, True
        if not self.ended:
            self._targets.append(min(self._good + self._step, self._most))
        return self._is_good

    def state_dict(self) -> dict[str, Any]:
        """Return the decisions so far."""
        return {name: getattr(self, f"_{name}") for name in STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on deciding from there."""
        for name in STATE:
            setattr(self, f"_{name}", state_dict[name])
        self._targets = list(self._targets)
