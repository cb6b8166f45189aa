"""Pruning with torch alone: methods, layer selection, schedules and masks.

A method has a criterion, a granularity, an allocation, a budget and a compensation.

The names that hook into a Trainer live in `vitprune.training.pruning` and are imported on first
use, so that this package works without Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vitprune.model.anatomy import AttentionNames, MlpNames, declare
from vitprune.pruning.allocation import (
    ERK,
    LAMP,
    Allocation,
    FromSensitivity,
    Global,
    Isomorphic,
    PerLayer,
    Search,
    Uniform,
)
from vitprune.pruning.allocation.demand import Demand
from vitprune.pruning.budget import Budget, FLOPs, Latency, Parameters, PrunableWeights
from vitprune.pruning.candidates import Candidate
from vitprune.pruning.compensation import Compensation, Mean, Ridge
from vitprune.pruning.criteria import (
    Criterion,
    Fisher,
    Magnitude,
    Movement,
    Random,
    Scoring,
    SparseGPT,
    Taylor,
    Variance,
    Wanda,
)
from vitprune.pruning.granularity import (
    Branch,
    Column,
    Combined,
    Element,
    Granularity,
    Head,
    HeadDim,
    Neuron,
    NofM,
    Row,
    Tile,
    Width,
)
from vitprune.pruning.granularity.grouping import Grouping, Part
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.masks import Masks
from vitprune.pruning.method import Method
from vitprune.pruning.prune import prune
from vitprune.pruning.regrow import RigL
from vitprune.pruning.schedules import Cubic, Geometric, Levels, Linear, OneShot, Schedule

if TYPE_CHECKING:
    from vitprune.training.pruning.accuracy_guarded import AccuracyGuarded
    from vitprune.training.pruning.callback import IterativePruning
    from vitprune.training.pruning.rewind import LearningRate, Rewind, Weights

NEEDS_LIGHTNING = {
    "AccuracyGuarded": "vitprune.training.pruning.accuracy_guarded",
    "IterativePruning": "vitprune.training.pruning.callback",
    "LearningRate": "vitprune.training.pruning.rewind",
    "Rewind": "vitprune.training.pruning.rewind",
    "Weights": "vitprune.training.pruning.rewind",
}

__all__ = [
    "ERK",
    "LAMP",
    "AccuracyGuarded",
    "Allocation",
    "AttentionNames",
    "Branch",
    "Budget",
    "Candidate",
    "Column",
    "Combined",
    "Compensation",
    "Criterion",
    "Cubic",
    "Demand",
    "Element",
    "FLOPs",
    "Fisher",
    "FromSensitivity",
    "Geometric",
    "Global",
    "Granularity",
    "Grouping",
    "Head",
    "HeadDim",
    "Isomorphic",
    "IterativePruning",
    "Latency",
    "LayerSelection",
    "LearningRate",
    "Levels",
    "Linear",
    "Magnitude",
    "Masks",
    "Mean",
    "Method",
    "MlpNames",
    "Movement",
    "Neuron",
    "NofM",
    "OneShot",
    "Parameters",
    "Part",
    "PerLayer",
    "PrunableWeights",
    "Random",
    "Rewind",
    "Ridge",
    "RigL",
    "Row",
    "Schedule",
    "Scoring",
    "Search",
    "SparseGPT",
    "Taylor",
    "Tile",
    "Uniform",
    "Variance",
    "Wanda",
    "Weights",
    "Width",
    "declare",
    "prune",
]


def __getattr__(name: str) -> Any:
    """Import names that need Lightning on first use."""
    if name in NEEDS_LIGHTNING:
        return getattr(import_module(NEEDS_LIGHTNING[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
