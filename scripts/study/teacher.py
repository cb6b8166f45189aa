"""The dense model as a teacher."""

from dataclasses import dataclass

from vitprune.model.distillation import Distillation


@dataclass(frozen=True)
class Teacher:
    """Distillation from the dense model.

    Args:
        hidden_weight: Weight of the loss over the hidden states after each block; 0 distills the
            logits alone.

    """

    hidden_weight: float

    @property
    def name(self) -> str:
        """Name in tables."""
        return "distillation" if self.hidden_weight else "logit distillation"

    def distillation(self) -> Distillation:
        """Return the term of the loss, new for every training."""
        return Distillation(hidden_weight=self.hidden_weight)


LOGITS = Teacher(hidden_weight=0.0)
HIDDEN_STATES = Teacher(hidden_weight=10.0)
