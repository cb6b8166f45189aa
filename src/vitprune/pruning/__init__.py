"""Iterative pruning: how much, where, which, in what unit, and when."""

from vitprune.pruning.allocation import Allocation, Global, PerLayer, Uniform
from vitprune.pruning.callback import IterativePruning
from vitprune.pruning.criteria import Criterion, Magnitude, Random
from vitprune.pruning.granularity import Column, Element, Granularity, Row
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.schedules import Cubic, Geometric, Levels, Linear, OneShot, Schedule

__all__ = [
    "Allocation",
    "Column",
    "Criterion",
    "Cubic",
    "Element",
    "Geometric",
    "Global",
    "Granularity",
    "IterativePruning",
    "LayerSelection",
    "Levels",
    "Linear",
    "Magnitude",
    "OneShot",
    "PerLayer",
    "Random",
    "Row",
    "Schedule",
    "Uniform",
]
