"""Worth it: a latency table, and a model that is pruned by it."""

from collections.abc import Iterator
from functools import partial

from scripts.bench.on_gpu.figures import Figure, attempted
from scripts.bench.on_gpu.scale import Scale
from vitprune.benchmark.backends import conditions_here
from vitprune.benchmark.latency import compare_by_table
from vitprune.benchmark.latency_table import measure_table
from vitprune.exports.shrinking.shrink import shrink
from vitprune.pruning import Combined, Head, Isomorphic, Latency, Magnitude, Method, Neuron
from vitprune.pruning.budget.latency_table import Grid, LatencyTable, Structure
from vitprune.pruning.prune import prune
from vitprune.runs.latency_report import TimedType

KINDS: tuple[Structure, ...] = ("heads", "neurons")
REACHED = 0.9  # of the predicted speed-up


def latency(scale: Scale) -> Iterator[Figure]:
    """Prune to half of the latency at several batch sizes."""
    for size in (4,) if scale.quick else (32, 1):
        yield from attempted(f"half of the latency, batch {size}", partial(_half, scale, size))


def _half(scale: Scale, size: int) -> Iterator[Figure]:
    """Measure a table, prune by it, and measure the result.

    The table itself shows plateaus: steps of the structure that save no time.
    """
    name = scale.large_models[0]
    net = scale.build(name, "cpu")
    dtype: TimedType = "bfloat16" if scale.on_gpu else "float32"
    conditions = conditions_here(scale.device, "eager", dtype, size)
    table = measure_table(net, KINDS, scale.device, conditions, 4 * scale.repeats, lambda *_: None)
    yield Figure(f"dense, batch {size}", table.dense_ms, "ms", note=str(conditions))
    for kind, grid in zip(KINDS, (table.attention, table.mlp), strict=True):
        for share in grid.levels[kind][:-1]:
            yield Figure(f"{share:.0%} of {kind}, batch {size}", grid.at({kind: share}), "ms")
    dense = scale.build(name, "cpu")
    budget = Latency()
    budget.measured = table
    method = Method(Magnitude(), Combined([Head(), Neuron()]), Isomorphic(), budget)
    removed = min(0.5, _removable(table) / 2)
    prune(net, method, removed, batches=[scale.batch(name, 2, "cpu")])
    predicted = (1 - removed) * table.dense_ms
    found = compare_by_table(dense, shrink(net, ragged=True), table, predicted)
    assert found  # measured on the device of the table
    reached = found.speedup * (1 - removed)
    passed = reached >= REACHED if scale.on_gpu else None
    yield Figure(f"measured / predicted speed-up, batch {size}", reached, passed=passed)
    yield Figure(f"measured speed-up, batch {size}", found.speedup, note=f"{1 / (1 - removed):.2f}")


def _removable(table: LatencyTable) -> float:
    """Return which fraction of the latency a model without attentions and MLPs saves."""

    def saved(grid: Grid) -> float:
        return 1 - min(grid.ms) / table.dense_ms

    return saved(table.attention) + saved(table.mlp)
