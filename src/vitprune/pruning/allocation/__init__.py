"""Where? Allocation: how the target is divided among the layers."""

from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.allocation.erk import ERK
from vitprune.pruning.allocation.from_sensitivity import FromSensitivity
from vitprune.pruning.allocation.global_ranking import Global
from vitprune.pruning.allocation.isomorphic import Isomorphic
from vitprune.pruning.allocation.lamp import LAMP
from vitprune.pruning.allocation.per_layer import PerLayer
from vitprune.pruning.allocation.search import Search
from vitprune.pruning.allocation.uniform import Uniform

__all__ = [
    "ERK",
    "LAMP",
    "Allocation",
    "FromSensitivity",
    "Global",
    "Isomorphic",
    "PerLayer",
    "Search",
    "Uniform",
]
