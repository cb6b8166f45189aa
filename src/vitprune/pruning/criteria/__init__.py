"""Which? Criterion: the weights with the lowest importance scores are pruned."""

from vitprune.pruning.criteria.criterion import Criterion, Scoring
from vitprune.pruning.criteria.fisher import Fisher
from vitprune.pruning.criteria.magnitude import Magnitude
from vitprune.pruning.criteria.movement import Movement
from vitprune.pruning.criteria.random import Random
from vitprune.pruning.criteria.sparse_gpt import SparseGPT
from vitprune.pruning.criteria.taylor import Taylor
from vitprune.pruning.criteria.variance import Variance
from vitprune.pruning.criteria.wanda import Wanda

__all__ = [
    "Criterion",
    "Fisher",
    "Magnitude",
    "Movement",
    "Random",
    "Scoring",
    "SparseGPT",
    "Taylor",
    "Variance",
    "Wanda",
]
