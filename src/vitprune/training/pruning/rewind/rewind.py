"""What is reset after each round."""

from abc import ABC, abstractmethod

from lightning import LightningModule, Trainer
from torch import Tensor

from vitprune.training.pruning.accuracy_guarded import Plan

EarlyWeights = dict[str, Tensor]


class Rewind(ABC):
    """A rule that resets something after each round.

    Attributes:
        restores_weights: Whether it restores earlier weights.

    """

    restores_weights: bool = False

    def prepare(self, trainer: Trainer, plan: Plan) -> None:  # noqa: B027 (optional)
        """Prepare the training, once the optimizers exist and a checkpoint is restored.

        Raises:
            UsageError: If the rule does not fit this training.

        """

    def keep(  # noqa: B027 (optional)
        self, trainer: Trainer, module: LightningModule, early: EarlyWeights
    ) -> None:
        """Add to `early`, before each training batch, what is to be restored later."""

    @abstractmethod
    def rewind(self, trainer: Trainer, module: LightningModule, early: EarlyWeights) -> None:
        """Reset, just after the masks of a round are updated."""
