"""The commands without a configuration, as functions whose arguments are their options."""

from collections.abc import Callable
from pathlib import Path

from vitprune.benchmark.backends import conditions_here
from vitprune.benchmark.latency import REPEATS, table_of
from vitprune.benchmark.latency import describe as describe_table
from vitprune.benchmark.run import Device, choose_setting
from vitprune.benchmark.run import run as run_benchmark
from vitprune.cli.shrink import Goal
from vitprune.cli.shrink import run as run_shrink
from vitprune.errors import UsageError, check_positive
from vitprune.exports.choices import DType
from vitprune.exports.hub import push as push_export
from vitprune.exports.without_training import Effort
from vitprune.model.loading import load_net
from vitprune.pruning.budget.latency_table import Structure
from vitprune.reports import compare as compare_runs
from vitprune.reports import report as run_report
from vitprune.runs.latency_report import Backend, TimedType
from vitprune.runs.write_errors import check_writable

STRUCTURE: list[Structure] = ["heads", "neurons"]


def benchmark(  # noqa: PLR0913  # each is an option
    folders: list[str],
    base: str | None = None,
    batch_size: int = 16,
    repeats: int = 10,
    threads: int | None = None,
    device: Device = "auto",
    dtype: DType = "float32",
    compile: bool = False,  # noqa: FBT001, FBT002  # an option
    token_merging: int = 0,
    output: str | None = None,
) -> None:
    """Measure latency and throughput of exports against the dense model.

    Args:
        folders: Folders of exports (lightning_logs/version_N/export); each is measured as plain
            transformers loads it and in its other formats.
        base: Folder of the dense model; by default a model with random weights and the
            architecture that the first export had before pruning.
        batch_size: Batch size for throughput; latency is measured at batch size 1.
        repeats: Number of measurements of each model after the warm-up.
        threads: Number of threads of torch and ONNX Runtime; by default that of torch.
        device: Device to measure on; auto is a GPU if there is one.
        dtype: Data type of weights and activations.
        compile: Whether to use torch.compile.
        token_merging: Also measure each export with token merging, which changes its accuracy:
            number of tokens merged in each block; 0 for none.
        output: Folder for benchmark.csv, benchmark.json, benchmark.png and pareto.png; by default
            the first of the folders that has a report.json.

    """
    run_benchmark(
        folders,
        choose_setting(
            device, dtype, compile=compile, threads=threads, token_merging=token_merging
        ),
        base=base,
        batch_size=batch_size,
        repeats=repeats,
        output=output,
    )


def compare(folders: list[str], output: str | None = None) -> None:
    """Compare finished runs and sweeps in one table and one figure.

    Args:
        folders: Folders of finished runs (lightning_logs/version_N) and of sweeps; others are
            skipped.
        output: Folder of compare.csv and compare.png; by default `compare` beside the first folder.

    """
    compare_runs.run(folders, output)


def report(folders: list[str], output: str | None = None, images: int = 1000) -> None:
    """Write a self-contained HTML page about each finished run.

    Args:
        folders: Folders of finished runs (lightning_logs/version_N).
        output: File of the page of a single run; by default report.html in the folder of each run.
        images: Number of validation images to classify with the dense and the pruned model, to list
            the confusions of only the pruned one; 0 for none.

    """
    run_report.run(folders, output, images)


def push(folder: str, repo: str, license: str | None = None) -> None:
    """Push an export to the Hugging Face hub.

    Args:
        folder: Folder of an export (lightning_logs/version_N/export).
        repo: Name of the new model on the hub, OWNER/NAME or NAME.
        license: License in the model card, such as apache-2.0; by default that of the base model,
            if it is on the hub.

    """
    print(f"Pushed {folder} to {push_export(folder, repo, license)}")


def shrink(  # noqa: PLR0913  # each is an option
    model: str,
    images: str,
    output: str,
    flops: float | None = None,
    parameters: float | None = None,
    speedup: float | None = None,
    calibration_images: int = 1024,
    test_images: int = 512,
    search: int = 0,
    seed: int = 42,
) -> None:
    """Remove neurons and dimensions of heads without labels or training, in minutes on a CPU.

    Whole heads are removed where the architecture allows no fewer dimensions. What remains
    compensates for them, by ridge regression.

    Args:
        model: Image classifier or backbone: a hub name or folder, or digits.
        images: Folder of images like those the model will classify, also in subfolders; or a hub
            data set, a folder of parquet files or digits, whose training images are used without
            their labels.
        output: Folder of the export.
        flops: Fraction of the FLOPs to remove, in (0, 1). Exactly one of flops, parameters and
            speedup is required.
        parameters: Fraction of the parameters to remove, in (0, 1).
        speedup: Speed-up to reach on this CPU at batch size 1, above 1. Measures a latency table
            first, which takes a minute or more.
        calibration_images: Number of images from which the importance scores are computed.
        test_images: Number of other images on which both models are compared.
        search: Number of trials, such as 50, of a search for the fractions of neurons and of
            dimensions of heads to remove. A trial prunes the model and evaluates it on at most
            128 images; 0 is no search.
        seed: Seed that chooses the images.

    """
    check_positive(calibration_images=calibration_images, test_images=test_images)
    if search < 0:
        raise UsageError(f"--search must be at least 0, not {search}.")
    run_shrink(
        model,
        images,
        output,
        Goal(flops, parameters, speedup),
        Effort(calibration_images, test_images, search, seed),
    )


def latency_table(  # noqa: PLR0913  # each is an option
    model: str,
    output: str,
    structure: list[Structure] = STRUCTURE,
    batch_size: int = 1,
    backend: Backend = "eager",
    dtype: TimedType = "float32",
    device: Device = "auto",
    threads: int | None = None,
    repeats: int = REPEATS,
) -> None:
    """Measure the latency of a model at several numbers of heads, neurons or channels.

    The budget Latency reads this table: run it on the device that the pruned model is for, and set
    pruning.budget.table to the file.

    Args:
        model: Image classifier: a hub name or folder, or digits.
        output: File of the table, such as latency.json.
        structure: What to vary: one or more of heads, head_dims (dimensions of heads), neurons and
            width (channels of the residual stream).
        batch_size: Batch size.
        backend: What runs the model: eager is PyTorch, compiled is PyTorch with torch.compile,
            onnx is ONNX Runtime.
        dtype: Data type of weights and activations.
        device: Device to measure on; auto is a GPU if there is one.
        threads: Number of threads of torch and ONNX Runtime; by default that of torch.
        repeats: Number of measurements of each width after the warm-up.

    """
    check_positive(batch_size=batch_size, repeats=repeats)
    if Path(output).is_dir():
        raise UsageError(f"--output {output!r} is a folder. Use the path of a file.")
    check_writable(Path(output))
    if not structure:
        raise UsageError("--structure is empty. Valid are heads, head_dims, neurons and width.")
    chosen = choose_setting(device, dtype, compile=False, threads=threads).device
    conditions = conditions_here(chosen, backend, dtype, batch_size)
    table = table_of(load_net(model, option="MODEL").eval(), structure, chosen, conditions, repeats)
    table.write(output)
    print(f"{describe_table(table)} ({conditions})\nSaved {output}")


COMMANDS: dict[str, Callable[..., None]] = {
    "benchmark": benchmark,
    "compare": compare,
    "latency-table": latency_table,
    "push": push,
    "report": report,
    "shrink": shrink,
}
