"""In what currency? What the numbers of a schedule count."""

from vitprune.pruning.budget.budget import Budget
from vitprune.pruning.budget.flops import FLOPs
from vitprune.pruning.budget.latency import Latency
from vitprune.pruning.budget.parameters import Parameters
from vitprune.pruning.budget.prunable_weights import PrunableWeights

__all__ = ["Budget", "FLOPs", "Latency", "Parameters", "PrunableWeights"]
