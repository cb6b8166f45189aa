"""What every method of the study can do."""

from abc import ABC, abstractmethod

from torch import nn

from scripts.study.budget import Budget, Run


class Row(ABC):
    """A way to come from a dense model to a pruned and fine-tuned one."""

    def check(self, budget: Budget) -> None:  # noqa: B027
        """Raise `SystemExit` if the budget or the machine is not for this method."""

    @abstractmethod
    def train(self, run: Run) -> nn.Module:
        """Return the pruned model, its zeros in its weights."""
