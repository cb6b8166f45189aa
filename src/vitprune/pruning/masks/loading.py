"""State dicts and checkpoints of masked models, loaded outside of a `Trainer`."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.model.sameness import check_same_model
from vitprune.pruning.masks.masks import KEEP_SUFFIX, Parameter, attach
from vitprune.runs.checkpoint import HYPERPARAMETERS, WEIGHTS

if TYPE_CHECKING:
    from lightning import LightningModule

Module = TypeVar("Module", bound="LightningModule")


def load_state_dict(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a state dict with masks, which are attached where it has them.

    Raises:
        UsageError: If it is of another model.

    """
    modules = dict(model.named_modules())
    for key in state:
        found = KEEP_SUFFIX.search(key)
        if found:
            name = key[: found.start()]
            if name not in modules:
                raise UsageError(
                    f"the checkpoint has a mask for {name}, which this model lacks: it is of "
                    "another model. Load it into the model that was trained."
                )
            parameter: Parameter = "weight" if found.group(1) == "weight" else "bias"
            attach([Layer(name, modules[name], role="other", block=None)], parameter)
    check_same_model(model.state_dict(), state)
    model.load_state_dict(state)


def load_from_checkpoint(model_class: type[Module], path: str | Path) -> Module:
    """Load a checkpoint of a pruning run with its masks outside of a `Trainer`.

    Nothing in the checkpoint is executed.

    Args:
        model_class: The LightningModule that was trained; it must have saved its hyperparameters.
        path: A training checkpoint.

    Raises:
        UsageError: If it is of another model.

    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    hyperparameters = checkpoint.get(HYPERPARAMETERS, {})
    arguments = {key: value for key, value in hyperparameters.items() if not key.startswith("_")}
    model = model_class(**arguments)
    load_state_dict(model, checkpoint[WEIGHTS])
    return model
