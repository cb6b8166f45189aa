"""How much to prune: as much as the accuracy allows."""

from collections.abc import Sequence

from vitprune.errors import UsageError
from vitprune.pruning.schedules.schedule import Schedule, Unit
from vitprune.runs.plain_values import plain


class AccuracyGuarded:
    """Prune further while the accuracy holds; otherwise backtrack and try half the increase.

    A backtracking search in place of a schedule: s_(r+1) = s_good + step, where s_good
    is the last good sparsity. It decides after the validation of each epoch that follows a round.
    If the metric is within `max_drop` of the dense model, the state is good, and the next epoch
    increases the sparsity by `step`. Otherwise fine-tuning continues; after `patience` such
    validations the last good weights and masks are restored and the increase is halved. Training
    stops when the increase is below `min_step` or the sparsity reaches `max_sparsity`, and ends
    with the last good state. The best checkpoint is the sparsest good one.

    The number of epochs is not known beforehand: `trainer.max_epochs` is a limit, and the end of
    the learning-rate schedule. With `LearningRate` as `rewind` the learning rate decays in every
    epoch instead, so that late rounds recover as well as early ones.

    Cost: a copy of the model in memory and in checkpoints, and the epochs of the rounds given up.

    Examples:
        `AccuracyGuarded(step=0.1, max_drop=0.01)` on a dense accuracy of 0.987 prunes further
        while the accuracy is at least 0.977.

    Args:
        step: Sparsity added per round, in (0, 1).
        max_drop: Largest accepted drop of the monitored metric from the best value of the dense
            model; absolute: 0.01 is one point of accuracy.
        patience: Validations below the threshold after which a round is given up.
        min_step: Smallest increase that is tried, in (0, step].
        max_sparsity: Sparsity at which the search ends, in (0, 1). The highest sparsity that the
            layers can reach ends it, too.
        begin: Epoch at whose start the first round is due.

    Raises:
        UsageError: If a value is out of range.

    """

    unit: Unit = "epoch"
    rounds: None = None  # not known beforehand
    final_sparsity: None = None

    def __init__(
        self,
        step: float = 0.1,
        max_drop: float = 0.01,
        patience: int = 3,
        min_step: float = 0.01,
        max_sparsity: float = 0.99,
        begin: int = 0,
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
        if not 0 < max_sparsity < 1:
            raise UsageError(f"max_sparsity must lie in (0, 1), not {max_sparsity}.")
        if begin < 0:
            raise UsageError(f"begin must be at least 0, not {begin}.")
        self.step: float = plain(step)
        self.max_drop: float = plain(max_drop)
        self.patience: int = plain(patience)
        self.min_step: float = plain(min_step)
        self.max_sparsity: float = plain(max_sparsity)
        self.begin: int = plain(begin)

    @property
    def last_sparsity(self) -> float:
        """The highest sparsity that the search may reach."""
        return self.max_sparsity

    @property
    def end(self) -> int:
        """The epoch of the only round that is certain, the first."""
        return self.begin

    def starts(self, end: int) -> Sequence[int]:
        """Return the epochs at which rounds may be due, in a training that ends at `end`."""
        return range(self.begin, end)


Plan = Schedule | AccuracyGuarded
