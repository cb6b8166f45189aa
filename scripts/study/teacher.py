"""The dense model as a teacher."""

from dataclasses import dataclass

from vitprune.model.distillation import Distillation


@dataclass(frozen=True)
class Teacher:
    """Distillation from the dense model.

    Args:
        hidden_weight: Weight of the loss over the hidden states after each block; 0 distills the
            logits alone.
        normalized: Whether the hidden states are normalised before they are compared.

    """

    hidden_weight: float
    normalized: bool = False

    @property
    def name(self) -> str:
        """Name in tables."""
        if not self.hidden_weight:
            return "logit distillation"
        return "normalised distillation" if self.normalized else "distillation"

    def distillation(self) -> Distillation:
        """Return the term of the loss, new for every training."""
        return Distillation(hidden_weight=self.hidden_weight, normalize_hidden=self.normalized)


LOGITS = Teacher(hidden_weight=0.0)
HIDDEN_STATES = Teacher(hidden_weight=10.0)
NORMALIZED = Teacher(hidden_weight=10.0, normalized=True)
