"""Measure a latency table: a model is cut to many widths, each timed in turns with the dense one.

Ratios of turns are kept, not seconds, so that other load on the machine changes little.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from transformers import PreTrainedModel

from vitprune.benchmark.backends import Timed, timed
from vitprune.benchmark.speed import compiling, time_rounds
from vitprune.exports.costs import count_flops
from vitprune.exports.nets import copy_net
from vitprune.exports.shrinking.uniform import cut_uniformly, levels_of
from vitprune.model.anatomy.config import image_shape
from vitprune.pruning.budget.latency_table import (
    OF_ATTENTION,
    OF_MLP,
    Axes,
    Grid,
    LatencyTable,
    Structure,
)
from vitprune.runs.latency_report import LatencyConditions

KEPT = (0.0, 0.25, 0.5, 0.75, 1.0)  # measured shares, as near as whole groups allow
NEVER_NONE: tuple[Structure, ...] = ("head_dims", "width")  # without heads there are no dimensions

Widths = tuple[tuple[Structure, float], ...]
Tell = Callable[[int, int], None]  # models timed, of how many


def measure_table(
    net: PreTrainedModel,
    structures: Sequence[Structure],
    device: str,
    conditions: LatencyConditions,
    repeats: int,
    tell: Tell,
) -> LatencyTable:
    """Measure the latencies of a model with fewer heads, neurons and so on.

    Args:
        net: The model; it is not changed.
        structures: What is varied.
        device: `cpu` or `cuda`.
        conditions: How it runs.
        repeats: Timed rounds of each width.
        tell: Called after each width.

    Raises:
        UsageError: If some of this structure cannot be removed from the model.

    """
    axes = {kind: _levels(net, kind, kind in structures) for kind in (*OF_ATTENTION, *OF_MLP)}
    attention: Axes = {kind: axes[kind] for kind in OF_ATTENTION}
    mlp: Axes = {kind: axes[kind] for kind in OF_MLP}
    widths = list(dict.fromkeys([*_combinations(attention), *_combinations(mlp)]))
    clock = Clock(net, device, conditions, repeats)
    relative: dict[Widths, float] = {}
    with compiling(models=len(widths)):
        for done, shares in enumerate(widths, start=1):
            relative[shares] = clock.relative(dict(shares)) if shares else 1.0
            tell(done, len(widths))
    dense_ms = clock.dense_ms

    def grid(of: Axes) -> Grid:
        return Grid.of(of, [dense_ms * relative[shares] for shares in _combinations(of)])

    flops = count_flops(net, image_shape(net.config))
    return LatencyTable(conditions, flops, grid(attention), grid(mlp))


def _levels(net: PreTrainedModel, kind: Structure, is_varied: bool) -> list[float]:  # noqa: FBT001
    if not is_varied:
        return [1.0]
    return levels_of(net, kind, KEPT[1:] if kind in NEVER_NONE else KEPT)


def _combinations(axes: Axes) -> Iterator[Widths]:
    """Yield what is left out at each point of a grid; the same for the same model."""
    for levels in product(*axes.values()):
        shares = dict(zip(axes, levels, strict=True))
        if shares.get("heads") == 0:
            del shares["head_dims"]
        yield tuple((kind, share) for kind, share in shares.items() if share < 1)


@dataclass
class Clock:
    """Times models in turns with the dense one.

    Attributes:
        net: The dense model.
        device: `cpu` or `cuda`.
        conditions: How models run.
        repeats: Rounds for each model.

    """

    net: PreTrainedModel
    device: str
    conditions: LatencyConditions
    repeats: int

    def __post_init__(self) -> None:
        """Prepare the dense model."""
        self._dense = timed(copy_net(self.net), self.device, self.conditions)
        self._seconds: list[float] = []

    @property
    def dense_ms(self) -> float:
        """Median time of a batch of the dense model over all rounds, in milliseconds."""
        return 1000 * statistics.median(self._seconds)

    def relative(self, shares: Mapping[Structure, float]) -> float:
        """Return the time of the model with these shares, relative to that of the dense one."""
        return self.relative_of(cut_uniformly(self.net, shares))

    def relative_of(self, net: PreTrainedModel) -> float:
        """Return the time of a model relative to that of the dense one."""
        models: list[Timed] = [self._dense, timed(net, self.device, self.conditions)]
        dense, own = time_rounds(models, self.conditions.batch_size, self.repeats, self.device)
        self._seconds += dense
        return statistics.median(ours / theirs for ours, theirs in zip(own, dense, strict=True))
