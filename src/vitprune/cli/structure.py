"""Checks of the structure of a model before training."""

from collections.abc import Sequence

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.exports.shrinking.prospects import find_prospects
from vitprune.exports.shrinking.stream import names_channels
from vitprune.exports.shrinking.survivors import keeps_whole_heads
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.config import channels_of
from vitprune.model.anatomy.records import Attention
from vitprune.model.trial import trial
from vitprune.pruning import IterativePruning
from vitprune.pruning.granularity.grouping import Grouping
from vitprune.pruning.granularity.proof import check_coupling
from vitprune.pruning.schedules import Schedule
from vitprune.training.pruning.costs import within_budget

SEED = 0


def check_structure(
    module: ViTClassifier, pruning: IterativePruning, height: int, width: int
) -> None:
    """Check that groups across layers are coupled; report what the export cannot remove.

    A granularity within single layers needs no check.

    Cost: a few forward passes of one image, and a copy of the model in float64.

    Args:
        module: Module whose model is pruned; it is not changed.
        pruning: Pruning callback that has selected its layers.
        height: Height of the images, in pixels.
        width: Width of the images, in pixels.

    Raises:
        UsageError: If the weights of a group are not coupled in the model, or the budget cannot be
            reached.

    """
    net = module.net
    groupings = pruning.settings.method.granularity.groupings(pruning.layers)
    coupled = [grouping for grouping in groupings if len(grouping.layers) > 1]
    generator = torch.Generator().manual_seed(SEED)
    shape = (1, channels_of(net.config), height, width)
    image = torch.randn(shape, generator=generator).to(net.device, net.dtype)
    if coupled:
        with trial(net):  # net.forward: net() would compile the model for a batch of one
            check_coupling(module, coupled, lambda: net.forward(pixel_values=image).logits)
    if pruning.settings.method.budget.is_physical:
        with trial(net):
            _check_budget(pruning, module, image, groupings)
    if any(grouping.companions for grouping in coupled) and not names_channels(net):
        rank_zero_info(
            "Only load_pruned, pt2 and ONNX can have fewer channels of the residual stream. Plain "
            "transformers cannot load the export: the configuration divides the channels into the "
            "heads."
        )
    coupled = [grouping for grouping in coupled if not grouping.companions]
    if not coupled:
        return
    branches = {layer.branch for grouping in coupled for layer in grouping.layers}
    prospects = find_prospects(
        net,
        image,
        heads=any(isinstance(branch, Attention) for branch in branches),
        neurons=not all(isinstance(branch, Attention) for branch in branches),
    )
    if prospects.stays and pruning.settings.method.budget.is_physical:
        budget = type(pruning.settings.method.budget).__name__
        raise UsageError(
            f"{budget} counts what a smaller model costs, and not all that this granularity prunes "
            f"can be removed: {prospects.stays} Prune only what can be removed, or use "
            "PrunableWeights as pruning.budget."
        )
    if prospects.text is not None:
        rank_zero_info(prospects.text)
    _report_dimensions(coupled)


def _check_budget(
    pruning: IterativePruning,
    module: ViTClassifier,
    image: Tensor,
    groupings: Sequence[Grouping],
) -> None:
    """Raise `UsageError` if the model cannot be pruned as far as the schedule or budget asks."""
    method, schedule = pruning.settings.method, pruning.settings.schedule
    if isinstance(schedule, Schedule):
        costs = method.budget.costs(
            module, groupings, lambda: module.net.forward(pixel_values=image), "net"
        )
        within_budget(schedule, method, pruning.layers, costs)


def _report_dimensions(groupings: Sequence[Grouping]) -> None:
    """Report that dimensions of heads will be pruned where only whole heads can be removed."""
    pooled = [
        layer.branch for grouping in groupings if grouping.pools > 1 for layer in grouping.layers
    ]
    if any(branch is not None and keeps_whole_heads(branch) for branch in pooled):
        rank_zero_info(
            "Pruned dimensions of heads stay in the tensors as zeros: rotary embeddings need whole "
            "heads."
        )
