"""A run on one HTML page."""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.evaluation import histograms
from vitprune.exports.load import load_stock
from vitprune.model.reference import build_reference
from vitprune.reports import sections
from vitprune.reports.confusion_section import confusions
from vitprune.reports.finished_run import FinishedRun, missing_files
from vitprune.reports.page import Page
from vitprune.runs.atomic import write_text
from vitprune.runs.names import resolve
from vitprune.runs.run_folder import RunFolder


def run(folders: Sequence[str], output: str | None, images: int) -> None:
    """Write a page about each run, and print where it is.

    Args:
        folders: Folders of finished runs.
        output: File of the page of a single run; None for `report.html` in the folder of each run.
        images: Number of validation images to classify with the dense and the pruned model; 0
            leaves out the confusions.

    Raises:
        UsageError: If an option is not valid, or if a file of a run is missing or damaged.

    """
    if images < 0:
        raise UsageError(f"--images must be at least 0, not {images}.")
    runs = [RunFolder(path) for path in resolve(folders)]
    if output and len(runs) > 1:
        raise UsageError(
            f"--output names the page of a single run, but there are {len(runs)} runs. Leave it "
            "out to write report.html in the folder of each run."
        )
    for folder in runs:
        target = Path(output) if output else folder.html_report
        write_report(folder, target, images)
        print(f"Report: {target}")


def write_report(folder: RunFolder, target: Path, images: int) -> None:
    """Write the page of a run, and the numbers of its histograms as CSV beside it.

    Args:
        folder: Folder of a finished run.
        target: File of the page.
        images: Number of validation images to classify; 0 leaves out the confusions.

    Raises:
        UsageError: If a file is missing or damaged; the message names it.

    """
    if missing := missing_files(folder, [folder.export.weights, folder.export.config]):
        raise UsageError(
            f"{folder.path} has no {missing[0]}. report needs the folder of a finished run, with "
            "config.yaml, export/report.json and the exported model."
        )
    run = FinishedRun.read(folder)
    net = load_stock(folder.export.path).eval()
    dense = _load_dense(run, net)
    page = Page(f"{folder.path.name}: {run.config.model.name}, pruned", sections.lead(run.report))
    sections.before_and_after(page, run.report)
    sections.training(page, run)
    sections.density(page, run, net)
    numbers = target.with_name(f"{target.stem}_{histograms.RESULT}")
    sections.weight_distribution(page, net, dense, numbers)
    sections.sensitivity(page, run)
    if images:
        confusions(page, run.config, net, dense, images)
    sections.settings(page, run)
    write_text(target, page.html())


def _load_dense(run: FinishedRun, net: PreTrainedModel) -> PreTrainedModel | None:
    """Return the pretrained model for the image size and classes of the pruned one.

    None if it cannot be loaded here, or if training started from random weights.
    """
    pretrained = run.config.model.pretrained
    try:
        return build_reference(pretrained, net) if pretrained else None
    except UsageError:
        return None
