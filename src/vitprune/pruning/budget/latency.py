"""The budget of a model's speed: its latency, by a table of measurements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_structure
from vitprune.model.anatomy.records import Attention, Branch, Dimension, Kind
from vitprune.pruning.budget.budget import Budget, Run
from vitprune.pruning.budget.costs import Costs, Shares
from vitprune.pruning.budget.flop_counts import count_flops
from vitprune.pruning.budget.latency_table import LatencyTable, Structure
from vitprune.pruning.budget.pieces import pieces_of
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.runs.latency_report import Backend, TimedType
from vitprune.runs.plain_values import plain

SAME_MODEL = 0.02  # relative difference in FLOPs that another number of classes can make

STRUCTURES: dict[Kind, tuple[Structure, ...]] = {
    "heads": ("heads",),
    "query_key": ("head_dims",),
    "value": ("head_dims",),
    "neurons": ("neurons",),
    "branch": ("heads", "neurons"),
    "width": ("width",),
}


def structures_of(granularity: Granularity) -> list[Structure]:
    """Return the kinds of structure that a granularity prunes."""
    found = [name for kind in granularity.dimensions for name in STRUCTURES[kind]]
    return list(dict.fromkeys(found))


class Latency(Budget):
    """Milliseconds of a batch after pruned structure is removed, by a table of measurements.

    `vitprune latency-table` measures a table, on the device that the model is for. Without one,
    `vitprune fit` measures it on this machine before training, as the other arguments say, and
    keeps it as `latency.json` in the folder of the run.

    The table has latencies of the whole model, with the same share kept in every attention or MLP.
    What this saves is divided among the attentions or MLPs in proportion to their FLOPs.

    Cost: some minutes to measure the table.

    Args:
        target: Milliseconds of a batch that are left at the end, instead of the `final_sparsity`
            of the schedule.
        speedup: Instead, how many times as fast as the dense model it becomes, above 1.
        table: Table of latencies; null measures one.
        batch_size: Images in a batch, if a table is measured.
        backend: What will run the model, if a table is measured: eager, compiled or onnx.
        dtype: Data type of weights and activations, if a table is measured.

    Attributes:
        measured: The table; None until it is read or measured.

    """

    unit = "ms"
    quantity = "latency"
    remedy = "Set a smaller speedup or final_sparsity or a larger target"

    def __init__(
        self,
        target: float | None = None,
        speedup: float | None = None,
        table: str | None = None,
        batch_size: int = 1,
        backend: Backend = "eager",
        dtype: TimedType = "float32",
    ) -> None:
        super().__init__(target)
        self.speedup = plain(speedup)
        if self.speedup is not None and not self.speedup > 1:
            raise UsageError(f"the speedup of Latency must be above 1, not {self.speedup}.")
        if self.target is not None and self.speedup is not None:
            raise UsageError("Latency has a target and a speedup. Set one of them.")
        if batch_size < 1:
            raise UsageError(f"the batch_size of Latency must be at least 1, not {batch_size}.")
        if backend == "onnx" and dtype != "float32":
            raise UsageError(
                f"Latency measures ONNX Runtime in float32, not {dtype}. Set dtype to float32."
            )
        self.table = table
        self.batch_size = plain(batch_size)
        self.backend = backend
        self.dtype = dtype
        self.measured = LatencyTable.read(table) if table else None

    @property
    def has_target(self) -> bool:
        """Whether it says how much is left at the end."""
        return self.speedup is not None or super().has_target

    def fraction(self, costs: Costs) -> float:
        """See the base class."""
        return super().fraction(costs) if self.speedup is None else 1 - 1 / self.speedup

    def describe_left(self, removed: float, costs: Costs) -> str:
        """See the base class."""
        return f"{super().describe_left(removed, costs)}, {1 / (1 - removed):.2f} times as fast"

    def costs(
        self, model: nn.Module, groupings: Sequence[Grouping], run: Run, part: str = ""
    ) -> Costs:
        """Return the latency as a function of the kept share of each attention and MLP.

        Raises:
            UsageError: If there is no table, or it is one of another model or without the structure
                to prune.

        """
        if self.measured is None:
            raise UsageError(
                "Latency needs a table of measurements. Make one by vitprune latency-table MODEL "
                "--output latency.json, and set pruning.budget.table to it."
            )
        flops = count_flops(run, model)
        found = flops.get(part, flops[""])
        if abs(found / self.measured.flops - 1) > SAME_MODEL:
            raise UsageError(
                f"the latency table is of a model with {self.measured.flops:,.0f} FLOPs an image, "
                f"and this one has {found:,.0f}. Measure a table of this model, at this image "
                "size, by vitprune latency-table."
            )
        self.measured.check_levels(_needed(groupings))
        return Times(self.measured, _parts(model, flops))


def _needed(groupings: Sequence[Grouping]) -> dict[Structure, bool]:
    """Return which structure is pruned, and whether all of it may be."""
    needed: dict[Structure, bool] = {}
    for grouping in groupings:
        if grouping.dimension:
            kind = grouping.dimension.kind
            is_attention = isinstance(grouping.dimension.branch, Attention)
            names = STRUCTURES[kind]
            if kind == "branch":
                names = ("heads",) if is_attention else ("neurons",)
            needed |= {name: needed.get(name, False) or kind == "branch" for name in names}
    return needed


def _parts(model: nn.Module, flops: Mapping[str, float]) -> dict[Branch, float]:
    """Return which part each branch has in the FLOPs of all attentions, or of all MLPs."""
    branches = find_structure(model).branches
    own = {
        branch: sum(flops.get(piece.layer, 0) * piece.share for piece in pieces_of(branch))
        for branch in branches
    }
    totals = {kind: sum(own[one] for one in own if type(one) is kind) for kind in map(type, own)}
    return {branch: cost / totals[type(branch)] for branch, cost in own.items()}


@dataclass(frozen=True)
class Times(Costs):
    """The latency of a model, in milliseconds.

    Attributes:
        table: Measurements in which all attentions, or all MLPs, keep the same shares.
        parts: Which part each of them has in what all of them save together, in [0, 1].

    """

    table: LatencyTable
    parts: Mapping[Branch, float]

    def at(self, shares: Shares) -> float:
        """See the base class."""
        width = shares.get(Dimension("width"), 1.0)
        whole = self.table.mlp.at({"width": width})
        saved = sum(
            part * self._saved(branch, shares, width) for branch, part in self.parts.items()
        )
        return max(0.0, whole - saved)

    def _saved(self, branch: Branch, shares: Shares, width: float) -> float:
        """Return what all branches of this type save at the shares of one of them."""
        is_kept = shares.get(Dimension("branch", branch), 1.0)
        if isinstance(branch, Attention):
            grid = self.table.attention
            dims = [shares.get(one, 1.0) for one in Dimension("value", branch).as_wide]
            heads = shares.get(Dimension("heads", branch), 1.0)
            kept: dict[Structure, float] = {"heads": heads * is_kept, "head_dims": max(dims)}
        else:
            grid = self.table.mlp
            kept = {"neurons": shares.get(Dimension("neurons", branch), 1.0) * is_kept}
        here: dict[Structure, float] = {"width": width}
        return grid.at(here) - grid.at(here | kept)
