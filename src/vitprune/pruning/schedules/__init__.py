"""Sparsity schedules: when to prune, and to which sparsity."""

from vitprune.pruning.schedules.cubic import Cubic
from vitprune.pruning.schedules.geometric import Geometric
from vitprune.pruning.schedules.levels import Levels
from vitprune.pruning.schedules.linear import Linear
from vitprune.pruning.schedules.one_shot import OneShot
from vitprune.pruning.schedules.schedule import Schedule

__all__ = ["Cubic", "Geometric", "Levels", "Linear", "OneShot", "Schedule"]
