"""Latency tables on this machine, and latencies before and after pruning."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import PreTrainedModel

from vitprune.benchmark.backends import conditions_here
from vitprune.benchmark.latency_table import Clock, measure_table
from vitprune.benchmark.speed import compiling
from vitprune.pruning.budget.latency_table import LatencyTable, Structure
from vitprune.runs.latency_report import LatencyConditions, LatencyReport
from vitprune.runs.rounds import in_units

REPEATS = 20


def table_of(
    net: PreTrainedModel,
    structures: Sequence[Structure],
    device: str,
    conditions: LatencyConditions,
    repeats: int = REPEATS,
) -> LatencyTable:
    """Measure a latency table with a progress bar; see `measure_table`."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        bar = progress.add_task("measuring latencies")
        return measure_table(
            net,
            structures,
            device,
            conditions,
            repeats,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )


def compare_latency(
    dense: PreTrainedModel, smallest: PreTrainedModel, device: str, conditions: LatencyConditions
) -> LatencyReport:
    """Measure a model before and after pruning, in turns.

    Args:
        dense: The model before pruning; it is not changed.
        smallest: The model without its pruned structure; it is moved to the device.
        device: `cpu` or `cuda`.
        conditions: How they run.

    """
    clock = Clock(dense, device, conditions, REPEATS)
    with compiling(models=2):
        relative = clock.relative_of(smallest)
    return LatencyReport(conditions, clock.dense_ms, clock.dense_ms * relative)


def compare_by_table(
    dense: PreTrainedModel, smallest: PreTrainedModel, table: LatencyTable, predicted_ms: float
) -> LatencyReport | None:
    """Measure a pruned model as its latency table was measured; None on another device.

    Args:
        dense: The model before pruning; it is not changed.
        smallest: The model without its pruned structure.
        table: The table that pruning went by.
        predicted_ms: Latency that the table predicts.

    """
    wanted = table.conditions
    device = "cuda" if torch.cuda.is_available() and not wanted.device.startswith("CPU") else "cpu"
    if wanted != conditions_here(device, wanted.backend, wanted.dtype, wanted.batch_size):
        return None
    measured = compare_latency(dense, smallest, device, wanted)
    return replace(measured, predicted_speedup=table.dense_ms / predicted_ms)


def describe(table: LatencyTable) -> str:
    """Return the latency of the dense model and the lowest one of the table, for the terminal."""
    least = min(*table.attention.ms, *table.mlp.ms)
    return f"{in_units(table.dense_ms)} ms before pruning, at least {in_units(least)} ms"


def describe_latency(latency: LatencyReport) -> str:
    """Return the latencies of a model, for the terminal."""
    predicted = latency.predicted_speedup
    by_table = "" if predicted is None else f", {predicted:.2f} by the table"
    return (
        f"{in_units(latency.pruned_ms)} of {in_units(latency.dense_ms)} ms: {latency.speedup:.2f} "
        f"times as fast{by_table} ({latency.conditions})"
    )
