"""A masked model, rebuilt from its weights and masks."""

import copy
from collections.abc import Mapping

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from vitprune.errors import UsageError
from vitprune.model.loading import net_from_config
from vitprune.pruning import masks
from vitprune.runs.checkpoint import TrainingCheckpoint

NET_PREFIX = "net."  # of the Hugging Face model in the LightningModule


def load_masked(checkpoint: TrainingCheckpoint, config: PreTrainedConfig) -> PreTrainedModel:
    """Build the Hugging Face model of a checkpoint with its masks, in evaluation mode.

    Raises:
        UsageError: If the checkpoint is of another model.

    """
    state = {
        name.removeprefix(NET_PREFIX): value
        for name, value in checkpoint.weights.items()
        if name.startswith(NET_PREFIX)
    }
    return _build(config, state)


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


def copy_masked(net: PreTrainedModel) -> PreTrainedModel:
    """Copy a model with its masks: on the CPU, in float32, in evaluation mode.

    Raises:
        UsageError: If the model is not built as its configuration says.

    """
    try:
        return _build(net.config, net.state_dict())
    except UsageError as error:
        raise UsageError(
            "the tensors of the model do not have the shapes of its configuration, as in a model "
            "of load_pruned whose blocks differ in width. Export the masked model instead."
        ) from error


def _build(config: PreTrainedConfig, state: Mapping[str, Tensor]) -> PreTrainedModel:
    net = net_from_config(copy.deepcopy(config)).float()  # saving writes to the configuration
    masks.load_state_dict(net, dict(state))
    return net.eval()
