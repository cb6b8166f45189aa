"""The section of the page about a run that shows what only the pruned model confuses."""

from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.reports.confusion import Comparison, compare_predictions
from vitprune.reports.page import Page
from vitprune.reports.run_data import image_data
from vitprune.reports.sections import NO_DENSE
from vitprune.runs.run_config import RunConfig

MOST_CLASSES = 12


def confusions(
    page: Page,
    config: RunConfig,
    net: PreTrainedModel,
    dense: PreTrainedModel | None,
    images: int,
) -> None:
    """Add the classes that lost accuracy, and what only the pruned model confuses.

    Args:
        page: The page.
        config: Configuration of the run, which names the data.
        net: The pruned model.
        dense: The dense model; None if it is not available.
        images: Number of validation images to classify.

    """
    page.heading("Confusions")
    if not dense:
        page.paragraph(NO_DENSE)
        return
    if dense.config.num_labels != net.config.num_labels:
        page.paragraph(
            "Not available: the pretrained model has other classes, so training started with a new "
            "classifier."
        )
        return
    try:
        found = compare_predictions(dense, net, image_data(config), images)
    except UsageError as error:
        page.paragraph(f"Not available: the data cannot be read here ({error})")
        return
    page.paragraph(
        f"The dense model, before fine-tuning, and the pruned one on {len(found.labels)} "
        "validation images; the classes with the largest drop come first."
    )
    _add_changes(page, found)
    _add_confusions(page, found)


def _add_changes(page: Page, found: Comparison) -> None:
    rows = [
        (
            change.name,
            str(change.images),
            f"{change.dense:.1%}",
            f"{change.pruned:.1%}",
            f"{100 * change.change:+.1f}",
        )
        for change in found.class_changes()[:MOST_CLASSES]
    ]
    page.table(("class", "images", "dense", "pruned", "change (points)"), rows)


def _add_confusions(page: Page, found: Comparison) -> None:
    confused = found.new_confusions()[:MOST_CLASSES]
    if not confused:
        page.paragraph("The pruned model adds no misclassification to those of the dense model.")
        return
    page.paragraph("Images that only the pruned model misclassifies:")
    rows = [(c.label, c.prediction, str(c.images)) for c in confused]
    page.table(("class", "predicted", "images"), rows)
