"""In what unit? Pruning granularity: the group of weights that is pruned as one."""

from vitprune.pruning.granularity.branch import Branch
from vitprune.pruning.granularity.column import Column
from vitprune.pruning.granularity.combined import Combined
from vitprune.pruning.granularity.element import Element
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.head import Head
from vitprune.pruning.granularity.head_dim import HeadDim
from vitprune.pruning.granularity.n_of_m import NofM
from vitprune.pruning.granularity.neuron import Neuron
from vitprune.pruning.granularity.row import Row
from vitprune.pruning.granularity.tile import Tile
from vitprune.pruning.granularity.width import Width

__all__ = [
    "Branch",
    "Column",
    "Combined",
    "Element",
    "Granularity",
    "Head",
    "HeadDim",
    "Neuron",
    "NofM",
    "Row",
    "Tile",
    "Width",
]
