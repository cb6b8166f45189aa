"""The best metric so far, among the epochs at the final sparsity."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Best:
    """The metric and the sparsity of the best checkpoint so far.

    Attributes:
        score: Metric of the best checkpoint; None before there is one.
        sparsity: Target sparsity of that checkpoint; a sparser one is always better.

    """

    score: float | None = None
    sparsity: float = 0.0

    def improve(self, score: float, sparsity: float) -> bool:
        """Return whether a checkpoint is better, and remember it if it is."""
        is_better = self.score is None or (sparsity, score) > (self.sparsity, self.score)
        if is_better:
            self.score = score
            self.sparsity = sparsity
        return is_better

    def reset(self) -> None:
        """Forget the best checkpoint."""
        self.score = None
        self.sparsity = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint stores."""
        return {f"best_{name}": value for name, value in asdict(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.score = state["best_score"]
        self.sparsity = state["best_sparsity"]
