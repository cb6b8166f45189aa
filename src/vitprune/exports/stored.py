"""Numbers about a pruned model and about the stored one."""

from collections.abc import Sequence

from transformers import PreTrainedModel

from vitprune.exports.costs import try_to_count_flops
from vitprune.model.anatomy.layers import BLOCK_ROLES, find_layers
from vitprune.pruning.sparsity import Sparsity, measure
from vitprune.runs.report import ModelReport
from vitprune.runs.run_folder import ExportFolder


def sparsity_in_blocks(net: PreTrainedModel) -> Sparsity:
    """Return the sparsity of a model; the linear layers of its blocks are the prunable ones."""
    return measure(net, [layer for layer in find_layers(net) if layer.role in BLOCK_ROLES])


def measure_stored(
    loaded: PreTrainedModel, folder: ExportFolder, image_shape: Sequence[int]
) -> ModelReport:
    """Return what a stored model costs; its accuracy is not measured.

    Args:
        loaded: The folder loaded by plain `transformers`.
        folder: Folder with the weights.
        image_shape: (channels, height, width) of its images.

    """
    counted = measure(loaded)
    return ModelReport(
        accuracy=None,
        loss=None,
        parameters=counted.parameters,
        nonzero_parameters=counted.parameters - counted.zeros,
        flops=try_to_count_flops(loaded, image_shape),
        bytes=folder.weights.stat().st_size,
    )
