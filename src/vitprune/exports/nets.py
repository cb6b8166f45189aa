"""The Hugging Face model to export: from a checkpoint, or a copy of one in memory."""

import copy
from collections.abc import Mapping

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer, find_layers
from vitprune.model.channels import follow
from vitprune.model.loading import net_from_config
from vitprune.model.sameness import check_same_model
from vitprune.pruning.masks.packing import apply_packed
from vitprune.runs.checkpoint import TrainingCheckpoint

NET_PREFIX = "net."  # of the Hugging Face model in the LightningModule


def load_net(checkpoint: TrainingCheckpoint, config: PreTrainedConfig) -> PreTrainedModel:
    """Build the Hugging Face model of a checkpoint, in evaluation mode, with pruned weights zero.

    Raises:
        UsageError: If the checkpoint is of another model.

    """
    net = _build(config, _of_net(checkpoint.weights))
    apply_packed(net, _of_net(checkpoint.masks))
    return net


def pruned_layers(net: PreTrainedModel, checkpoint: TrainingCheckpoint) -> list[Layer]:
    """Return the layers of a model whose weights have masks in its checkpoint."""
    names = _of_net(checkpoint.masks)
    return [layer for layer in find_layers(net) if layer.parameter_name in names]


def _of_net(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the Hugging Face model in the LightningModule, by their names there."""
    return {
        name.removeprefix(NET_PREFIX): value
        for name, value in tensors.items()
        if name.startswith(NET_PREFIX)
    }


def find_net(model: nn.Module) -> PreTrainedModel:
    """Return a Hugging Face model: the module itself, or the one in its attribute `net`.

    Raises:
        UsageError: If there is none.

    """
    net = getattr(model, "net", model)
    if not isinstance(net, PreTrainedModel):
        raise UsageError(
            f"{type(model).__name__} cannot be exported. Give a Hugging Face image classifier, or "
            "a module that holds one as `net`."
        )
    return net


def copy_net(net: PreTrainedModel) -> PreTrainedModel:
    """Copy a model: on the CPU, in float32, in evaluation mode.

    Raises:
        UsageError: If the model is not built as its configuration says.

    """
    try:
        copied = _build(net.config, net.state_dict())
    except UsageError as error:
        raise UsageError(
            "the tensors of the model do not have the shapes of its configuration, as in a model "
            "of load_pruned whose blocks differ in width. Export the model that was pruned instead."
        ) from error
    follow(copied, net)
    return copied


def _build(config: PreTrainedConfig, state: Mapping[str, Tensor]) -> PreTrainedModel:
    net = net_from_config(copy.deepcopy(config)).float()  # saving writes to the configuration
    check_same_model(net.state_dict(), state)
    net.load_state_dict(dict(state))
    return net.eval()
