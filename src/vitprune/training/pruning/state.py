"""What the pruning callback stores in a checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from vitprune.errors import UsageError
from vitprune.pruning.masks.sharding import snapshot
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.runs.checkpoint import PRUNING, PRUNING_FORMAT, check_format
from vitprune.training.pruning.rounds import Round
from vitprune.training.pruning.search import Search


@dataclass
class PruningState:
    """The progress of pruning, saved and restored as one.

    Attributes:
        plan: Which rounds are due and how sparse they are: a schedule, or the progress of an
            accuracy-guarded search.
        number: Number of the pruning callback in the trainer, from 1; a label in what it logs.
        rounds: The rounds so far.
        dense: Validation metrics of the dense model; empty before they are known.
        dense_zeros: Exact zeros among the parameters before the first round; None before they are
            counted.
        dense_sparsity: Sparsity of the prunable weights before the first round, in [0, 1].
        statistics: What a straight-through criterion accumulated over the steps, by layer name.
        early_weights: The parameters that weight rewinding restores, by name.
        rates: The rates that `Search` has found; empty before the first round and without it.

    """

    plan: Schedule | Search
    number: int = 1
    rounds: list[Round] = field(default_factory=list)
    dense: dict[str, float] = field(default_factory=dict)
    dense_zeros: int | None = None
    dense_sparsity: float = 0.0
    statistics: dict[str, Tensor] = field(default_factory=dict)
    early_weights: dict[str, Tensor] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def search(self) -> Search | None:
        """The progress of an accuracy-guarded search; None for a schedule."""
        return self.plan if isinstance(self.plan, Search) else None

    @property
    def finished(self) -> bool:
        """Whether the model is at its final sparsity."""
        return self.plan.finished(len(self.rounds))

    @property
    def sparsity(self) -> float:
        """The current sparsity of the prunable weights, in [0, 1]."""
        return self.rounds[-1].sparsity if self.rounds else self.dense_sparsity

    @property
    def removed(self) -> float:
        """The fraction of the budget that is removed, in [0, 1]."""
        return self.rounds[-1].removed if self.rounds else self.dense_sparsity

    @property
    def target(self) -> float:
        """The fraction of the budget that should be removed now, in [0, 1)."""
        return self.rounds[-1].target if self.rounds else 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the state, in types that `torch.load(weights_only=True)` accepts."""
        return {
            "format": PRUNING_FORMAT,
            "rounds": [asdict(round) for round in self.rounds],
            "dense": dict(self.dense),
            "dense_zeros": self.dense_zeros,
            "dense_sparsity": self.dense_sparsity,
            "finished": self.finished,
            "statistics": snapshot(self.statistics),
            "early_weights": self.early_weights,
            "rates": dict(self.rates),
            "search": self.search.state_dict() if self.search else {},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state that was saved with the same settings."""
        self.rounds = [Round(**values) for values in state_dict["rounds"]]
        self.dense = dict(state_dict["dense"])
        self.dense_zeros = state_dict["dense_zeros"]
        self.dense_sparsity = state_dict["dense_sparsity"]
        self.statistics = dict(state_dict["statistics"])
        self.early_weights = dict(state_dict["early_weights"])
        self.rates = dict(state_dict.get("rates", {}))
        if self.search:
            self.search.load_state_dict(state_dict["search"])


def saved_states(checkpoint: Mapping[str, Any], callbacks: int) -> list[dict[str, Any]]:
    """Return the states of the pruning callbacks in a checkpoint, in order; none if it is dense.

    Args:
        checkpoint: Content of the checkpoint.
        callbacks: Number of pruning callbacks in the trainer.

    Raises:
        UsageError: If an earlier version saved them, or there are more states than callbacks.

    """
    check_format(checkpoint, "the checkpoint")
    states: list[dict[str, Any]] = checkpoint.get(PRUNING, [])
    if len(states) > callbacks:
        raise UsageError(
            f"this checkpoint has the state of {len(states)} IterativePruning callbacks, and the "
            f"Trainer has {callbacks}. Resume with all of them, in the same order."
        )
    return states
