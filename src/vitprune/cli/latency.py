"""The latency table of a run: measured before training, kept with the run, and checked afterwards.

A table of the user's is left as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.benchmark.backends import conditions_here
from vitprune.benchmark.candidates import dense_of
from vitprune.benchmark.latency import compare_by_table, describe, describe_latency, table_of
from vitprune.errors import UsageError
from vitprune.exports.card import with_latency
from vitprune.exports.load import load_pruned
from vitprune.model import ViTClassifier
from vitprune.pruning import IterativePruning, Latency
from vitprune.pruning.budget.latency import structures_of
from vitprune.pruning.budget.latency_table import LatencyTable
from vitprune.runs.atomic import write_text
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import RunFolder


def prepare_table(
    trainer: Trainer, model: ViTClassifier, pruning: IterativePruning, ckpt_path: str | None
) -> LatencyTable | None:
    """Measure the table of the budget `Latency` if the user has set none, and return it.

    Args:
        trainer: Trainer before `fit`.
        model: Model to prune.
        pruning: Pruning callback.
        ckpt_path: Checkpoint that is resumed, with the table of its run; None for a new run.

    Raises:
        UsageError: If several processes would measure, or the table of a resumed run is missing.

    """
    budget = pruning.settings.method.budget
    if not isinstance(budget, Latency) or budget.table:
        return None
    if ckpt_path:
        budget.measured = _of_run(Path(ckpt_path))
        return budget.measured
    if model.token_merging:
        raise UsageError(
            "Latency measures models without token merging. Set model.token_merging to 0, or use "
            "FLOPs as pruning.budget."
        )
    device = trainer.strategy.root_device.type
    if device not in ("cpu", "cuda"):
        raise UsageError(
            f"Latency cannot be measured on the device {device}. Set trainer.accelerator to cpu."
        )
    if trainer.world_size > 1:
        raise UsageError(
            "Latency measures a table in one process, and this run has several. Measure it first, "
            "by vitprune latency-table MODEL --output latency.json, and set pruning.budget.table."
        )
    conditions = conditions_here(device, budget.backend, budget.dtype, budget.batch_size)
    rank_zero_info(f"Measuring latencies on this machine: {conditions}")
    structures = structures_of(pruning.settings.method.granularity)
    budget.measured = table_of(model.net, structures, device, conditions)
    rank_zero_info(describe(budget.measured))
    return budget.measured


@contextmanager
def table_kept(table: LatencyTable | None, folder: Path) -> Iterator[None]:
    """Write a measured table to a new file if the run is refused, and name it in the error."""
    try:
        yield
    except UsageError as error:
        if table is None:
            raise
        folder.mkdir(parents=True, exist_ok=True)
        names = (f"latency-{number}.json" for number in count(1))
        file = next(path for path in map(folder.joinpath, names) if not path.exists())
        table.write(file)
        raise UsageError(f"{error} The table is kept: --pruning.budget.table {file}") from error


def compare_to_table(run: RunFolder, pruning: IterativePruning) -> None:
    """Measure the export of a run that was pruned by latency, and add the result to its report.

    On another device than that of the table nothing is measured.
    """
    budget = pruning.settings.method.budget
    if not isinstance(budget, Latency) or budget.measured is None:
        return
    report = RunReport.read(run.export.report)
    predicted = report.rounds[-1].left[budget.unit]
    dense, smallest = dense_of(run.export), load_pruned(run.export.path)
    latency = compare_by_table(dense, smallest, budget.measured, predicted)
    if latency is None:
        print(f"  Latencies are not compared: the table is of {budget.measured.conditions}.")
    else:
        replace(report, latency=latency).write(run.export.report)
        write_text(run.export.card, with_latency(run.export.card.read_text(), latency))
        print(f"  {describe_latency(latency)}")


def _of_run(checkpoint: Path) -> LatencyTable:
    run = RunFolder.of_checkpoint(checkpoint)
    if run is None or not run.latency.is_file():
        raise UsageError(
            f"{checkpoint} was pruned by a latency table, and latency.json of its run is missing. "
            "Set pruning.budget.table to that file."
        )
    return LatencyTable.read(run.latency)
