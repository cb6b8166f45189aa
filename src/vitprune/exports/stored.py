"""Numbers about a masked model and about the stored one."""

from transformers import PreTrainedModel

from vitprune.exports.costs import count_flops
from vitprune.model.anatomy.layers import BLOCK_ROLES, Layer, find_layers
from vitprune.pruning import masks
from vitprune.pruning.sparsity import Sparsity, measure
from vitprune.runs.report import ModelReport
from vitprune.runs.run_folder import ExportFolder


def masked_sparsity(net: PreTrainedModel) -> Sparsity:
    """Return the sparsity of a masked model; its masked layers are the prunable ones."""
    return measure(net, _masked_layers(net))


def sparsity_in_blocks(net: PreTrainedModel) -> Sparsity:
    """Return the sparsity of a model whose masks may be removed.

    Without masks, the linear layers of the blocks count as the prunable ones.
    """
    in_blocks = [layer for layer in find_layers(net) if layer.role in BLOCK_ROLES]
    return measure(net, _masked_layers(net) or in_blocks)


def _masked_layers(net: PreTrainedModel) -> list[Layer]:
    return [layer for layer in find_layers(net) if masks.is_masked(layer.module)]


def measure_stored(
    loaded: PreTrainedModel, folder: ExportFolder, image_size: tuple[int, int]
) -> ModelReport:
    """Return what a stored model costs; its accuracy is not measured.

    Args:
        loaded: The folder loaded by plain `transformers`.
        folder: Folder with the weights.
        image_size: (height, width).

    """
    counted = measure(loaded)
    return ModelReport(
        accuracy=None,
        loss=None,
        parameters=counted.parameters,
        nonzero_parameters=counted.parameters - counted.zeros,
        flops=count_flops(loaded, image_size),
        bytes=folder.weights.stat().st_size,
    )
