"""Iterative pruning: how much, where, which, in what unit, and when."""

from vitprune.pruning.allocation import ERK, LAMP, Allocation, Global, PerLayer, Uniform
from vitprune.pruning.callback import IterativePruning
from vitprune.pruning.coupled import Branch, Combined, Head, HeadDim, Neuron
from vitprune.pruning.criteria import Criterion, Fisher, Magnitude, Random, Taylor, Wanda
from vitprune.pruning.from_sensitivity import FromSensitivity
from vitprune.pruning.granularity import Column, Element, Granularity, NofM, Row, Tile
from vitprune.pruning.guarded import AccuracyGuarded
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.method import Method
from vitprune.pruning.movement import Movement
from vitprune.pruning.regrow import RigL
from vitprune.pruning.rewind import LearningRate, Rewind, Weights
from vitprune.pruning.schedules import Cubic, Geometric, Levels, Linear, OneShot, Schedule
from vitprune.pruning.sparse_gpt import SparseGPT

__all__ = [
    "ERK",
    "LAMP",
    "AccuracyGuarded",
    "Allocation",
    "Branch",
    "Column",
    "Combined",
    "Criterion",
    "Cubic",
    "Element",
    "Fisher",
    "FromSensitivity",
    "Geometric",
    "Global",
    "Granularity",
    "Head",
    "HeadDim",
    "IterativePruning",
    "LayerSelection",
    "LearningRate",
    "Levels",
    "Linear",
    "Magnitude",
    "Method",
    "Movement",
    "Neuron",
    "NofM",
    "OneShot",
    "PerLayer",
    "Random",
    "Rewind",
    "RigL",
    "Row",
    "Schedule",
    "SparseGPT",
    "Taylor",
    "Tile",
    "Uniform",
    "Wanda",
    "Weights",
]
