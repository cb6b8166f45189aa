"""Boolean masks on weights, True = keep, as parametrizations.

`weight` is computed as `where(keep, original, 0)`: a pruned weight is exactly zero in the forward
pass and gets exactly zero gradient. Masks are written in place, so optimizers, DDP and compiled
graphs never see a new tensor, and they are buffers, so they are in every checkpoint.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrize

from vitprune.model.anatomy.layers import BLOCK_ROLES, Layer
from vitprune.pruning.masks.sharding import place, whole

KEEP_SUFFIX = re.compile(r"\.parametrizations\.(weight|bias)\.0\.keep$")
Parameter = Literal["weight", "bias"]


class Mask(nn.Module):
    """The parametrization of one weight or bias.

    Attributes:
        keep: Boolean buffer of the weight's shape, True = keep.
        straight_through: Whether pruned weights get the gradient that they would have if they were
            kept.

    """

    keep: Tensor

    def __init__(self, keep: Tensor) -> None:
        super().__init__()
        self.register_buffer("keep", keep)
        self.straight_through = False

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with exact zeros where it is pruned.

        A product with the mask would leave -0.0 and NaN there.
        """
        if not self.straight_through:
            return torch.where(self.keep, weight, 0.0)
        masked = torch.where(self.keep, weight.detach(), 0.0)
        # adds exactly zero, with the gradient of the identity
        return masked + (weight - weight.detach())


def attach(
    layers: Iterable[Layer], parameter: Parameter = "weight", *, straight_through: bool = False
) -> None:
    """Put a mask on the weight (or bias) of each layer that has none yet.

    Existing zeros of a weight are pruned, so a sparse model stays sparse, unless the whole weight
    is zero outside of the transformer blocks: that is a new layer. A bias is pruned only if all of
    it and all of its weight are zero.

    Args:
        layers: Layers whose weight or bias is masked.
        parameter: Which of the two.
        straight_through: See `Mask`; also set where a mask exists.

    """
    for layer in layers:
        if not is_masked(layer.module, parameter):
            mask = Mask(_initial_mask(layer, parameter))
            parametrize.register_parametrization(layer.module, parameter, mask)
        _parametrizations(layer.module, parameter)[0].straight_through = straight_through


def _initial_mask(layer: Layer, parameter: Parameter) -> Tensor:
    keep = layer.weight.detach() != 0
    if parameter == "bias":
        keep = (keep.any() | getattr(layer.module, parameter).any()).repeat(len(keep))
    if not keep.any() and layer.role not in BLOCK_ROLES:
        return ~keep
    return keep


def is_masked(module: nn.Module, parameter: Parameter = "weight") -> bool:
    """Return whether a module has a mask on its weight (or bias)."""
    return parametrize.is_parametrized(module, parameter) and isinstance(
        _parametrizations(module, parameter)[0], Mask
    )


def read(layer: Layer, parameter: Parameter = "weight") -> Tensor:
    """Return the mask itself (not a copy) of a layer."""
    return _parametrizations(layer.module, parameter)[0].keep


def original(layer: Layer, parameter: Parameter = "weight") -> nn.Parameter:
    """Return the parameter behind a masked weight (or bias): what the optimizer trains."""
    return _parametrizations(layer.module, parameter).original


def weight(layer: Layer) -> Tensor:
    """Return the weight as the forward pass sees it, whole on every rank also if it is sharded."""
    if not is_masked(layer.module):
        return whole(layer.weight)
    return torch.where(read(layer), whole(original(layer)), 0.0)


@torch.no_grad()
def write_weight(layer: Layer, value: Tensor) -> None:
    """Set the parameter behind a masked weight, in place."""
    parameter = original(layer)
    parameter.copy_(place(value, parameter))


def copy_masks(source: nn.Module, target: nn.Module) -> None:
    """Copy the masks of a module to a copy of it, in place."""
    theirs = dict(target.named_buffers())
    for name, keep in source.named_buffers():
        if KEEP_SUFFIX.search(f".{name}"):
            theirs[name].copy_(keep)


def remove(model: nn.Module) -> None:
    """Make every mask of a model permanent: plain weights with zeros in them.

    Nothing else changes.
    """
    parameters: tuple[Parameter, ...] = ("weight", "bias")
    for module in list(model.modules()):
        for parameter in parameters:
            if is_masked(module, parameter):
                parametrize.remove_parametrizations(module, parameter, leave_parametrized=True)


def keep_from_broadcasts(model: nn.Module) -> None:
    """Exclude the masks of a model from the broadcasts of DDP: every rank writes its own."""
    names = [name for name, _ in model.named_buffers() if KEEP_SUFFIX.search("." + name)]
    # the only way to exclude a buffer that is in the state dict
    exclude = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model  # noqa: SLF001
    exclude(model, names)


def _parametrizations(module: nn.Module, parameter: Parameter) -> Any:
    by_parameter: Any = module.parametrizations
    return by_parameter[parameter]
