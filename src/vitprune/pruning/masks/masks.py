"""Boolean masks on weights, True = keep, as parametrizations.

`weight` is computed as `where(keep, original, 0)`: a masked weight is exactly zero in the forward
pass and its gradient is exactly zero. Masks are written in place, so optimizers, DDP and compiled
graphs never see a new tensor, and they are buffers, so they travel in every checkpoint.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrize

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import BLOCK_ROLES, Layer
from vitprune.model.sameness import check_same_model
from vitprune.pruning.masks.sharding import place, whole

if TYPE_CHECKING:
    from lightning import LightningModule

KEEP_SUFFIX = re.compile(r"\.parametrizations\.(weight|bias)\.0\.keep$")
Module = TypeVar("Module", bound="LightningModule")


class Mask(nn.Module):
    """The parametrization of one weight or bias.

    Attributes:
        keep: Boolean buffer of the weight's shape, True = keep.
        straight_through: Whether masked weights get the gradient that they would have if they were
            kept.

    """

    keep: Tensor

    def __init__(self, keep: Tensor) -> None:
        super().__init__()
        self.register_buffer("keep", keep)
        self.straight_through = False

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with exact zeros where it is masked; a product would leave -0.0 and keep NaNs alive."""
        if not self.straight_through:
            return torch.where(self.keep, weight, 0.0)
        masked = torch.where(self.keep, weight.detach(), 0.0)
        return masked + (
            weight - weight.detach()
        )  # adds exactly zero, with the gradient of the identity


def attach(
    layers: Iterable[Layer], parameter: str = "weight", straight_through: bool = False
) -> None:
    """Put a mask on the weight of each layer that has none yet, or on its `bias`.

    It keeps what is not zero, so that a sparse model stays as sparse as it is. But a bias is kept
    unless all of it and all of its weight are zero; and so is, outside of the branches of a
    transformer, a weight that is all zero: new, and not pruned.
    """
    for layer in layers:
        if not is_masked(layer.module, parameter):
            keep = layer.weight.detach() != 0
            if parameter == "bias":
                keep = (keep.any() | getattr(layer.module, parameter).any()).repeat(len(keep))
            if not keep.any() and layer.role not in BLOCK_ROLES:
                keep = ~keep
            parametrize.register_parametrization(layer.module, parameter, Mask(keep))
        _parametrization(layer.module, parameter)[0].straight_through = straight_through


def keep_from_broadcasts(model: nn.Module) -> None:
    """Let DDP leave the masks of a model alone: every rank writes its own."""
    names = [name for name, _ in model.named_buffers() if KEEP_SUFFIX.search("." + name)]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, names)


def copy_masks(source: nn.Module, target: nn.Module) -> None:
    """Give a copy of a module the masks that the module has now, in place."""
    theirs = dict(target.named_buffers())
    for name, keep in source.named_buffers():
        if KEEP_SUFFIX.search(f".{name}"):
            theirs[name].copy_(keep)


def read(layer: Layer, parameter: str = "weight") -> Tensor:
    """Return the mask itself (not a copy) of a layer."""
    return _parametrization(layer.module, parameter)[0].keep


def original(layer: Layer, parameter: str = "weight") -> nn.Parameter:
    """Return the parameter behind a masked weight (or bias): what the optimizer trains."""
    return _parametrization(layer.module, parameter).original


def weight(layer: Layer) -> Tensor:
    """Return the weight as the forward pass sees it, whole on every rank also where parameters are sharded."""
    if not is_masked(layer.module):
        return whole(layer.weight)
    return torch.where(read(layer), whole(original(layer)), 0.0)


@torch.no_grad()
def write_weight(layer: Layer, value: Tensor) -> None:
    """Set the parameter behind a masked weight, in place."""
    parameter = original(layer)
    parameter.copy_(place(value, parameter))


def remove(model: nn.Module) -> None:
    """Make every mask of a model permanent: plain weights with zeros in them. Nothing else changes."""
    for module in list(model.modules()):
        for parameter in ("weight", "bias"):
            if is_masked(module, parameter):
                parametrize.remove_parametrizations(module, parameter, leave_parametrized=True)


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
                    "another model."
                )
            attach([Layer(name, modules[name], role="other", block=None)], found.group(1))
    check_same_model(model.state_dict(), state)
    model.load_state_dict(state)


def load_from_checkpoint(model_class: type[Module], path: str | Path) -> Module:
    """Load a checkpoint of a masked run outside of a `Trainer`, masks and all, without executing
    anything in it.

    Args:
        model_class: The LightningModule that was trained; it must have saved its hyperparameters.
        path: A training checkpoint.

    Raises:
        UsageError: If it is of another model.

    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    arguments = {
        k: v for k, v in checkpoint.get("hyper_parameters", {}).items() if not k.startswith("_")
    }
    model = model_class(**arguments)
    load_state_dict(model, checkpoint["state_dict"])
    return model


def is_masked(module: nn.Module, parameter: str = "weight") -> bool:
    """Return whether a module has a mask on its weight (or bias)."""
    return parametrize.is_parametrized(module, parameter) and isinstance(
        _parametrization(module, parameter)[0], Mask
    )


def _parametrization(module: nn.Module, parameter: str) -> Any:
    parametrizations: Any = module.parametrizations
    return parametrizations[parameter]
