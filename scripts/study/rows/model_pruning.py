"""Lightning's `ModelPruning` callback."""

from dataclasses import dataclass

from lightning.pytorch.callbacks import ModelPruning
from torch import nn

from scripts.study.budget import Budget
from scripts.study.fine_tuning import FineTuning
from scripts.study.models import prunable_layers
from scripts.study.rows.row import Row, joined
from scripts.study.teacher import Teacher


@dataclass(frozen=True)
class LightningModelPruning(Row):
    """Prune with Lightning's callback: one L1 ranking over all layers at the end of an epoch.

    The amount of each round is the fraction of the remaining weights that reaches the target
    sparsity after the last round. By default the callback also rewinds every layer to its
    pretrained weights after each round (the lottery ticket hypothesis). With a few epochs that
    discards the fine-tuning, so it is a separate row. On a CPU the callback rewinds correctly
    after the first round only, because training then changes its stored copy.

    Args:
        rounds: Pruning rounds, one at the end of each of the first epochs.
        rewind_weights: Whether to keep the callback's default of weight rewinding.
        teacher: The teacher of a distillation, if any.

    """

    rounds: int = 1
    rewind_weights: bool = False
    teacher: Teacher | None = None

    @property
    def name(self) -> str:
        """See the base class."""
        return joined(
            "ModelPruning",
            f"{self.rounds} rounds" if self.rounds > 1 else None,
            "weight rewinding" if self.rewind_weights else None,
            self.teacher.name if self.teacher else None,
        )

    def check(self, budget: Budget) -> None:
        """Refuse a budget without an epoch after the last round.

        Raises:
            SystemExit: If there are no more epochs than rounds.

        """
        if budget.epochs <= self.rounds:
            raise SystemExit(
                f"{self.name}: {budget.epochs} epochs leave no fine-tuning after the last of "
                f"{self.rounds} rounds. Set --epochs to {self.rounds + 1} or more."
            )

    def train(self, tuning: FineTuning) -> nn.Module:
        """See the base class."""
        model = tuning.classifier(self.teacher)
        pruning = ModelPruning(
            "l1_unstructured",
            [(layer, "weight") for layer in prunable_layers(model.net)],
            amount=1 - (1 - tuning.sparsity) ** (1 / self.rounds),
            apply_pruning=lambda epoch: epoch < self.rounds,
            use_lottery_ticket_hypothesis=self.rewind_weights,
        )
        tuning.fit(model, tuning.budget.data(), [pruning])
        return model.net
