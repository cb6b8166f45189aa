"""The results of runs and sweeps, as models that can be compared."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from vitprune.errors import UsageError
from vitprune.evaluation import sweep_result
from vitprune.evaluation.sweep_result import SweepResult
from vitprune.figures.comparison import ComparedModel, Kind
from vitprune.reports.finished_run import FinishedRun, missing_files
from vitprune.runs.metrics import read_metrics
from vitprune.runs.names import short_names
from vitprune.runs.rounds import RoundReport
from vitprune.runs.run_folder import RunFolder

SWEEP = "sweep"


def read_all(folders: Sequence[Path]) -> list[ComparedModel]:
    """Return the results in folders of runs and sweeps; print which folders are skipped, and why.

    Raises:
        UsageError: If no folder has a result.

    """
    models: list[ComparedModel] = []
    skipped: list[str] = []
    names = short_names([_run_of(folder) for folder in folders])
    for folder in folders:
        try:
            models += read_folder(folder, names[_run_of(folder)])
        except UsageError as error:
            skipped.append(str(error))
    if not models:
        raise UsageError(
            f"{' '.join(skipped)} compare needs folders of finished runs "
            "(lightning_logs/version_N) or of sweeps."
        )
    for reason in skipped:
        print(f"Skipped: {reason}")
    return models


def _run_of(folder: Path) -> Path:
    """Return the folder of a run: this one, or the one around a sweep."""
    return folder.parent if folder.name == SWEEP else folder


def read_folder(folder: Path, name: str) -> list[ComparedModel]:
    """Return the result of a run, the points of a sweep, or both if the run has a sweep.

    Args:
        folder: Folder of the run or the sweep.
        name: Name of the run.

    Raises:
        UsageError: If the folder is neither, or if a file is damaged; the message names the file.

    """
    run = RunFolder(folder)
    sweeps = [path / sweep_result.RESULT for path in (folder, run.results(SWEEP))]
    points = [
        point
        for path in sweeps
        if path.is_file()
        for point in _read_sweep(SweepResult.read(path), name)
    ]
    missing = missing_files(run)
    if missing and not points:
        raise UsageError(f"{folder} is neither a finished run nor a sweep: it has no {missing[0]}.")
    return points if missing else [_read_run(FinishedRun.read(run), name), *points]


def _read_run(run: FinishedRun, name: str) -> ComparedModel:
    report = run.report
    seen = read_metrics(run.folder).get("throughput/images_seen")
    benchmarked = report.benchmark.of_export() if report.benchmark else None
    return ComparedModel(
        name=name,
        kind=_kind_of(report.rounds),
        images_seen=int(max(seen.values())) if seen else None,
        data=run.config.data.describe(report.pruned.images),
        sparsity=report.sparsity.prunable,
        sparsity_total=report.sparsity.total,
        accuracy_dense=report.base.accuracy,
        accuracy_pruned=report.rounds[0].accuracy_pruned if len(report.rounds) == 1 else None,
        accuracy=report.pruned.accuracy,
        flops=report.pruned.flops,
        latency_ms=benchmarked.latency_ms if benchmarked else None,
    )


def _kind_of(rounds: Sequence[RoundReport]) -> Kind:
    if not rounds:
        return "dense"
    return "one-shot" if len(rounds) == 1 else "iterative"


def _read_sweep(result: SweepResult, run: str) -> list[ComparedModel]:
    return [
        ComparedModel(
            name=f"{run}/{name}",
            kind="no fine-tuning",
            images_seen=0,
            data=result.settings.data.describe(result.images),
            sparsity=method.reached[target],
            sparsity_total=None,
            accuracy_dense=result.dense,
            accuracy_pruned=mean(accuracies),
            accuracy=mean(accuracies),
            flops=None,
            latency_ms=None,
        )
        for name, method in result.methods.items()
        for target, accuracies in method.accuracy.items()
    ]
