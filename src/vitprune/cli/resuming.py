"""What a run resumes: the checkpoint of the command line, and whether training is left."""

from dataclasses import dataclass
from pathlib import Path

from jsonargparse import Namespace
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.errors import UsageError
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.run_folder import RunFolder, find_last, resolve_checkpoint


@dataclass(frozen=True)
class Resumed:
    """What is known about the start of a command before anything is built.

    Attributes:
        ckpt_path: Path of the checkpoint; None without one.
        run: Run that is resumed in its own folder; None for a new run.
        step: Optimizer steps of the checkpoint; 0 without one.

    """

    ckpt_path: str | None = None
    run: RunFolder | None = None
    step: int = 0

    def configured_ckpt_path(self) -> str | None:
        """Return the `ckpt_path` that `config.yaml` of the run should name."""
        return self.run.started_from() if self.run else self.ckpt_path


def find_resumed(config: Namespace, subcommand: str) -> Resumed:
    """Find and check the checkpoint of a configuration.

    Raises:
        UsageError: If there is none, it cannot be loaded, or its run is finished.

    """
    if not config.ckpt_path:
        return Resumed()
    is_last = config.ckpt_path == "last"
    path = (
        str(find_last(config.trainer.default_root_dir or "."))
        if is_last
        else resolve_checkpoint(config.ckpt_path, subcommand)
    )
    checkpoint = TrainingCheckpoint.read(path)
    if subcommand == "fit":
        checkpoint.check_resumable()
    else:
        checkpoint.check_data()
    run = RunFolder.of_checkpoint(Path(path)) if is_last and subcommand == "fit" else None
    if run:
        check_unfinished(run, checkpoint, config.trainer.max_epochs, config.trainer.max_steps)
    return Resumed(path, run, checkpoint.step)


def check_unfinished(
    run: RunFolder, checkpoint: TrainingCheckpoint, max_epochs: int | None, max_steps: int
) -> None:
    """Log which run is resumed, and at which epoch and step.

    Raises:
        UsageError: If its training is complete and exported.

    """
    total = "" if max_epochs is None else f"/{max_epochs}"
    position = f"epoch {checkpoint.epoch}{total}, step {checkpoint.step}"
    is_trained = 0 <= (max_epochs or -1) <= checkpoint.epoch or 0 <= max_steps <= checkpoint.step
    is_trained = is_trained or checkpoint.search_ended
    if is_trained and run.is_exported():
        longer = "Increase trainer.max_epochs to continue training. "
        if checkpoint.search_ended:
            longer = "Its search of AccuracyGuarded has ended. "
        raise UsageError(
            f"--ckpt_path last: the newest run is finished: {run.path} at {position}. {longer}Omit "
            "--ckpt_path to start a new run."
        )
    rank_zero_info(f"Resuming {run.path} at {position}")
