"""Two small runs and what the measuring subcommands leave in their folder."""

from pathlib import Path

from tests.evaluation.arguments import ARGUMENTS
from vitprune.cli.main import main

FIT = [
    "--data.max_images={train: 128, validation: 64}",
    "--data.batch_size=32",
]


def make_runs(root: Path) -> Path:
    """Return the folder of a one-shot run, an iterative run with a scan, and a sweep."""
    small = [*ARGUMENTS, *FIT, f"--trainer.default_root_dir={root}"]
    logs = root / "lightning_logs"
    main(["fit", "--config=oneshot.yaml", *small, "--trainer.max_epochs=2"])

    levels = "{class_path: Levels, init_args: {levels: [0.4, 0.7], every: 1}}"
    iterative = ["--trainer.max_epochs=3", f"--pruning.schedule={levels}"]
    main(["fit", "--config=iterative.yaml", *small, *iterative])

    last = logs / "version_1" / "checkpoints" / "last.ckpt"
    scan = ["--by=block", "--sparsities=[0.9]", f"--ckpt_path={last}"]
    main(["sensitivity", *ARGUMENTS, "--data.batch_size=32", *scan])

    methods = "{a: {criterion: Random}, b: {criterion: Magnitude, granularity: Row}}"
    sweep = ["--sparsities=[0.9,0.3]", "--seeds=2", f"--methods={methods}"]
    main(["sweep", *small, *sweep])
    return logs
