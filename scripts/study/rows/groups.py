"""In what unit a row prunes, where it is not single weights."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from vitprune.pruning import Combined, Granularity, Head, Neuron, NofM


@dataclass(frozen=True)
class Groups:
    """A pruning granularity with its name in tables."""

    name: str
    granularity: Callable[[], Granularity]


HEADS_AND_NEURONS = Groups("heads and neurons", partial(Combined, [Head(), Neuron()]))
TWO_OF_FOUR = Groups("2:4", partial(NofM, 2, 4))
