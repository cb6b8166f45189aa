"""The folder of a scan's results, and its figures in TensorBoard."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from vitprune.errors import UsageError
from vitprune.evaluation.journal import read_settings
from vitprune.evaluation.settings import Settings
from vitprune.runs.run_folder import RunFolder, new_run_folder, run_folders
from vitprune.runs.write_errors import naming


def find_folder(
    subcommand: str,
    root: Path,
    output: str | None,
    ckpt_path: str | None,
    settings: Settings | None = None,
) -> Path:
    """Return the folder of the results of a subcommand.

    That is `output` if it is given; else the folder named after the subcommand in the run of the
    checkpoint, in that of an unfinished scan with the same settings, or in a new run.

    Args:
        subcommand: Name of the subcommand; `<subcommand>.json` is the last file that it writes.
        root: Folder that holds the runs.
        output: Folder that the user asks for.
        ckpt_path: Checkpoint whose weights are measured.
        settings: Settings of the scan; None if it cannot be resumed.

    """
    if output:
        return Path(output)
    run = RunFolder.of_checkpoint(Path(ckpt_path)) if ckpt_path else None
    if run:
        return run.results(subcommand)
    unfinished = _find_unfinished(subcommand, root, settings) if settings else None
    return unfinished or new_run_folder(root).results(subcommand)


def _find_unfinished(subcommand: str, root: Path, settings: Settings) -> Path | None:
    for _, run in sorted(run_folders(root).items(), reverse=True):
        folder = run.results(subcommand)
        if (folder / f"{subcommand}.json").exists():
            continue
        with suppress(UsageError):  # settings that cannot be read are not those of this scan
            if read_settings(folder) == settings:
                print(f"Resuming {folder}")
                return folder
    return None


def publish(folder: Path, subcommand: str, figures: Mapping[str, Figure]) -> None:
    """Add figures to TensorBoard, and print where the results are.

    Raises:
        OSError: If the events cannot be written, as on a full disk; the error names the folder.

    """
    with naming(folder, "the results are complete, except for TensorBoard"):
        _add_to_tensorboard(folder, subcommand, figures)
    print(f"Results: {folder}")


def _add_to_tensorboard(folder: Path, subcommand: str, figures: Mapping[str, Figure]) -> None:
    with SummaryWriter(str(folder)) as writer:
        for name, figure in figures.items():
            writer.add_figure(f"{subcommand}/{name}", figure)
