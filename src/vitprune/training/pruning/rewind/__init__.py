"""Rewinding: what is reset after each round."""

from vitprune.training.pruning.rewind.learning_rate import LearningRate
from vitprune.training.pruning.rewind.rewind import Rewind
from vitprune.training.pruning.rewind.weights import Weights

__all__ = ["LearningRate", "Rewind", "Weights"]
