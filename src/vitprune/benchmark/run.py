"""Benchmark exported folders against the dense model: `vitprune benchmark`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch

from vitprune.benchmark.candidates import candidate, candidates_of, dense_candidate
from vitprune.benchmark.results import JSON, add_to_reports, print_speeds, save
from vitprune.benchmark.setting import Setting, describe_conditions
from vitprune.benchmark.speed import measure_speeds
from vitprune.errors import UsageError, check_positive
from vitprune.exports.choices import DTYPES, DType
from vitprune.exports.load import load_stock
from vitprune.runs.names import resolve, short_names
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import ExportFolder
from vitprune.runs.write_errors import check_writable

Device = Literal["auto", "cpu", "cuda"]


def run(
    folders: Sequence[str],
    setting: Setting,
    *,
    base: str | None = None,
    batch_size: int = 16,
    repeats: int = 10,
    output: str | None = None,
) -> None:
    """Measure exports against the dense model; print the result and save it.

    Args:
        folders: Exports; each is measured as plain `transformers` loads it and in its other
            formats.
        setting: How the models run.
        base: Folder of the dense model; by default the architecture of the first export before
            pruning, with random weights.
        batch_size: Batch size for throughput; latency is measured at batch size 1.
        repeats: Number of rounds after the warm-up.
        output: Folder for the files of `save`; by default the first export of vitprune. Without
            either, no files are written.

    Raises:
        UsageError: If a folder holds no model, or a number is not positive.
        OSError: If the results cannot be written.

    """
    check_positive(batch_size=batch_size, repeats=repeats)
    names = {ExportFolder(path): name for path, name in short_names(resolve(folders)).items()}
    exports = _exports(names)
    for written in (*(folder.path for folder in exports), *([Path(output)] if output else [])):
        check_writable(written / JSON)
    if base:
        candidates = [candidate("dense", load_stock(base), setting, None)]
    else:
        candidates = [dense_candidate(next(iter(names)), setting)]
    for folder, name in names.items():
        candidates += candidates_of(folder, name, setting)

    speeds = measure_speeds(candidates, batch_size, repeats, setting.device)
    conditions = describe_conditions(setting, batch_size, repeats)
    print_speeds(speeds, conditions)
    add_to_reports(speeds, conditions, exports)
    target = Path(output) if output else next((folder.path for folder in exports), None)
    if target is not None:
        files = save(speeds, conditions, target)
        print(f"Saved {', '.join(files)} to {target}")


def choose_setting(
    device: Device, dtype: DType, *, compile: bool, threads: int | None, token_merging: int = 0
) -> Setting:
    """Return how models run on this machine, and set the number of threads of torch.

    Args:
        device: `auto` is a GPU if there is one.
        dtype: Data type of weights and activations.
        compile: Whether to use `torch.compile`.
        threads: Number of threads of torch and ONNX Runtime; None keeps that of torch.
        token_merging: Tokens that each block merges in an additional candidate; 0 for none.

    Raises:
        UsageError: If there is no such device, or the number is not positive.

    """
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise UsageError("--device cuda: there is no CUDA GPU. Use --device cpu.")
    if threads is not None:
        check_positive(threads=threads)
        torch.set_num_threads(threads)
    chosen = ("cuda" if has_gpu else "cpu") if device == "auto" else device
    return Setting(chosen, DTYPES[dtype], compile, token_merging)


def _exports(names: Mapping[ExportFolder, str]) -> dict[ExportFolder, str]:
    """Return the folders that vitprune has exported; fail early if a report is damaged."""
    exports = {folder: name for folder, name in names.items() if folder.report.is_file()}
    for folder in exports:
        RunReport.read(folder.report)
    return exports
