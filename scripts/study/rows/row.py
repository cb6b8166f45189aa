"""What every method of the study can do."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from scripts.study.budget import Budget
from scripts.study.fine_tuning import FineTuning


class Row(ABC):
    """A method that turns a dense model into a pruned and fine-tuned one.

    Rows are frozen dataclasses. Results are stored by name, so every setting that changes the
    result is part of the name.
    """

    uses_trainer: ClassVar[bool] = True  # else it has its own loop, without callbacks

    @property
    @abstractmethod
    def name(self) -> str:
        """Name in tables, figures and results, generated from the settings."""

    def check(self, budget: Budget) -> None:  # noqa: B027
        """Raise `SystemExit` if the method does not support this budget or machine."""

    @abstractmethod
    def train(self, tuning: FineTuning) -> nn.Module:
        """Return the pruned and fine-tuned model, with zeros in its weights and without masks."""


def joined(*parts: str | None) -> str:
    """Return the parts of a name that are there, separated by commas."""
    return ", ".join(part for part in parts if part)
