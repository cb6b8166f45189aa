"""The control: the dense model, fine-tuned and not pruned."""

from dataclasses import dataclass

from torch import nn

from scripts.study.fine_tuning import FineTuning
from scripts.study.rows.row import Row


@dataclass(frozen=True)
class Dense(Row):
    """Fine-tune the dense model without pruning it."""

    @property
    def name(self) -> str:
        """See the base class."""
        return "dense control"

    def train(self, tuning: FineTuning) -> nn.Module:
        """See the base class."""
        model = tuning.classifier()
        tuning.fit(model, tuning.budget.data(), [])
        return model.net
