"""Boolean masks on weights, True = keep, as parametrizations.

`weight` is computed as `where(keep, original, 0)`: a masked weight is exactly zero in the forward pass and its gradient is
exactly zero. Masks are written in place, so optimizers, DDP and compiled graphs never see a new tensor, and they are buffers,
so they travel in every checkpoint.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn.utils import parametrize

from vitprune.errors import UsageError
from vitprune.model.layers import Layer

KEEP_SUFFIX = ".parametrizations.weight.0.keep"
ORIGINAL_SUFFIX = ".parametrizations.weight.original"
Module = TypeVar("Module", bound=LightningModule)


class Mask(nn.Module):
    """The parametrization of one weight.

    Attributes:
        keep: Boolean buffer of the weight's shape, True = keep.

    """

    keep: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("keep", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with exact zeros where it is masked; a product would leave -0.0 and keep NaNs alive."""
        return torch.where(self.keep, weight, 0.0)


def attach(layers: Iterable[Layer]) -> None:
    """Put an all-ones mask on the weight of each layer that has none yet."""
    for layer in layers:
        if not is_masked(layer.module):
            parametrize.register_parametrization(layer.module, "weight", Mask(layer.module.weight))  # type: ignore[arg-type]


def read(layer: Layer) -> Tensor:
    """Return the mask itself (not a copy) of a layer."""
    return layer.module.parametrizations["weight"][0].keep  # type: ignore[index, union-attr]


def remove(model: nn.Module) -> None:
    """Make every mask of a model permanent: plain weights with zeros in them. Nothing else changes."""
    for module in list(model.modules()):
        if is_masked(module):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def attach_like(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Put masks where a state dict has them, so that it loads strictly.

    Raises:
        UsageError: If it has a mask for a layer that the model lacks.

    """
    modules = dict(model.named_modules())
    for key in state:
        if key.endswith(KEEP_SUFFIX):
            name = key.removesuffix(KEEP_SUFFIX)
            if name not in modules:
                raise UsageError(f"the checkpoint has a mask for {name}, which this model lacks: it is of another model.")
            attach([Layer(name, modules[name], role="other", block=None)])


def load_from_checkpoint(model_class: type[Module], path: str | Path) -> Module:
    """Load a checkpoint of a masked run outside of a `Trainer`, masks and all.

    Args:
        model_class: The LightningModule that was trained; it must have saved its hyperparameters.
        path: A training checkpoint.

    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    arguments = {k: v for k, v in checkpoint.get("hyper_parameters", {}).items() if not k.startswith("_")}
    model = model_class(**arguments)
    attach_like(model, checkpoint["state_dict"])
    model.load_state_dict(checkpoint["state_dict"])
    return model


def is_masked(module: nn.Module) -> bool:
    """Return whether a module has a mask on its weight."""
    return parametrize.is_parametrized(module, "weight") and isinstance(
        module.parametrizations["weight"][0],  # type: ignore[index]
        Mask,
    )
