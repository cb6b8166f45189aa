"""A smaller model without training: prune one-shot, compensate, export.

The calibration images need no labels: those that the dense model predicts stand in for them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from vitprune.data.processor import load_processor
from vitprune.errors import UsageError
from vitprune.exports.folder import check_target
from vitprune.exports.load import load_stock
from vitprune.exports.model import export
from vitprune.exports.nets import copy_net
from vitprune.exports.shrinking.removable import removable
from vitprune.exports.summary import flops_line
from vitprune.exports.unlabelled_images import divide, sample_images
from vitprune.exports.verify import logits
from vitprune.model.features import load_classifier_or_features, save_backbone
from vitprune.pruning import (
    Budget,
    Granularity,
    Isomorphic,
    Method,
    Ridge,
    Search,
    Variance,
    prune,
)
from vitprune.runs.report import RunReport

Batch = dict[str, Tensor]
BACKBONE = "backbone"  # folder in an export
VERIFIED = 8  # images on which logits are compared
SEARCHED = 128  # images on which the trials of a search are compared, at most


@dataclass(frozen=True)
class Effort:
    """How much is spent on making a model smaller.

    Attributes:
        calibration_images: Number of images from which the importance scores are computed.
        test_images: Number of other images on which both models are compared.
        search: Number of trials of a search that divides the budget among kinds of structure, on
            some of the calibration images; 0 for none.
        seed: Seed that chooses the images.

    """

    calibration_images: int = 1024
    test_images: int = 512
    search: int = 0
    seed: int = 42


@dataclass(frozen=True)
class Shrinking:
    """A model that was made smaller without training.

    Attributes:
        report: The content of `report.json`.
        agreement: Share of held-out images that get the same class as before, in [0, 1]; of a
            backbone the mean cosine similarity of their features, in [-1, 1].
        images: Number of held-out images.
        is_backbone: Whether the model has no classifier.

    """

    report: RunReport
    agreement: float
    images: int
    is_backbone: bool


def shrink_without_training(
    model: str,
    images: str,
    output: str,
    budget_for: Callable[[PreTrainedModel, Granularity], Budget],
    fraction: float,
    effort: Effort,
) -> Shrinking:
    """Make an image classifier or a backbone smaller without labels and without training.

    Args:
        model: Hub name or folder of the model, or `digits`.
        images: Images such as the model will see: a folder of images, also in subfolders, or
            anything else that `data.source` can be, whose training images are used without labels.
        output: Folder of the export.
        budget_for: Returns what is counted, of the model and of what is removed from it.
        fraction: Fraction of the budget to remove, in (0, 1).
        effort: Numbers of images and of trials.

    Raises:
        UsageError: If the model has no structure that can be removed, too little for the budget, or
            there are too few images.

    """
    check_target(output)
    needed = effort.calibration_images + effort.test_images
    batches = sample_images(model, images, needed, effort.seed)
    calibration, held_out = divide(batches, effort.calibration_images, images)
    net, is_backbone = load_classifier_or_features(model, "MODEL")
    net.eval()
    if is_backbone and effort.search:
        raise UsageError("--search compares classes, and this model has none. Leave it out.")
    granularity = removable(net, calibration[0][:1])
    dense = copy_net(net)
    compared = max(1, min(SEARCHED, effort.calibration_images // 4))
    allocation = Search(effort.search, compared) if effort.search else Isomorphic()
    method = Method(Variance(), granularity, allocation, budget_for(net, granularity), Ridge())
    prune(net, method, fraction, list(_labelled(dense, calibration)))
    report = export(net, output, load_processor(model), held_out[0][:VERIFIED])
    if is_backbone:
        save_backbone(load_stock(output), model, Path(output) / BACKBONE)
    compare = _cosine if is_backbone else _same_class
    agreement = torch.cat([compare(logits(net, each), logits(dense, each)) for each in held_out])
    return Shrinking(report, float(agreement.mean()), len(agreement), is_backbone)


def _same_class(ours: Tensor, theirs: Tensor) -> Tensor:
    return (ours.argmax(1) == theirs.argmax(1)).float()


def _cosine(ours: Tensor, theirs: Tensor) -> Tensor:
    return F.cosine_similarity(ours, theirs)


def _labelled(dense: PreTrainedModel, batches: Sequence[Tensor]) -> Iterator[Batch]:
    for images in batches:
        yield {"pixel_values": images, "labels": logits(dense, images).argmax(1)}


def _agreement(shrinking: Shrinking) -> str:
    if shrinking.is_backbone:
        return (
            f"the features of {shrinking.images} held-out images have a mean cosine similarity of "
            f"{shrinking.agreement:.3f} to those before"
        )
    return (
        f"{shrinking.agreement:.2%} of {shrinking.images} held-out images get the same class as "
        "before"
    )


def describe(shrinking: Shrinking) -> str:
    """Return how much the model changed and what it costs now, for the terminal."""
    report = shrinking.report
    lines = [
        _agreement(shrinking),
        *flops_line(report),
        f"{report.pruned.parameters:,} of {report.base.parameters:,} parameters",
    ]
    return "\n".join(lines)
