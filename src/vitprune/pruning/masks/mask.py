"""The mask of one parameter."""

import torch
from torch import Tensor, nn

from vitprune.pruning.masks.sharding import local, place

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by size in bytes


class GradientHook:
    """Set the gradients of the pruned entries to zero, as a hook of the parameter.

    It does not refer to the parameter: the garbage collector does not see the hooks of a tensor,
    and would free neither.

    Args:
        keep: This rank's part of the mask.

    """

    def __init__(self, keep: Tensor) -> None:
        self.keep = keep

    def __call__(self, parameter: Tensor) -> None:
        """Change the gradient in place."""
        if parameter.grad is not None:
            zero_pruned(parameter.grad, self.keep)


def zero_pruned(tensor: Tensor, keep: Tensor) -> None:
    """Set to zero what a mask prunes, in place.

    Args:
        tensor: A parameter or a gradient, whole or sharded.
        keep: This rank's part of the mask; it may be elsewhere.

    """
    value = local(tensor.detach())
    # as integers, since a product of floats would leave -0.0 and NaN; torch.where is slow on CPUs
    value.view(INTEGERS[value.element_size()]).mul_(keep.to(value.device))


class Mask:
    """The mask of one parameter, whose pruned entries are zero.

    Args:
        name: Name of the parameter in its model.
        parameter: The parameter, whole or sharded.
        keep: The mask itself: a boolean tensor of the parameter's shape, True = keep; whole on
            every rank.
        straight_through: Whether pruned entries are trained as well; see `Masks`.

    Attributes:
        dense: What an optimizer trains if pruned entries are trained as well: a tensor like the
            parameter. Otherwise None.
        on_gradient: The hook of the parameter, with this rank's part of the mask.

    """

    def __init__(
        self, name: str, parameter: nn.Parameter, keep: Tensor, *, straight_through: bool = False
    ) -> None:
        self.name = name
        self.parameter = parameter
        self.keep = keep
        self.dense = parameter.detach().clone() if straight_through else None
        self._is_revealed = False
        self.on_gradient = GradientHook(keep)
        self.follow()

    def follow(self) -> None:
        """Take over what was written to `keep`, and device and type of the parameter."""
        self.keep = self.keep.to(self.parameter.device)
        if self.dense is not None:
            self.dense = self.dense.to(self.parameter.device, self.parameter.dtype)
        self.on_gradient.keep = local(place(self.keep, self.parameter))

    def zero(self) -> None:
        """Set the pruned entries to zero."""
        zero_pruned(self.parameter, self.on_gradient.keep)

    def zero_copy(self, copy: Tensor) -> None:
        """Set the pruned entries of a copy of the parameter to zero; it may be elsewhere."""
        zero_pruned(copy, local(place(self.keep, copy)))

    def is_broken(self) -> Tensor:
        """Return whether a pruned entry is not zero, (), on the device of the parameter."""
        value = local(self.parameter.detach())
        return (value.bool() > self.on_gradient.keep.to(value.device)).any()

    def reveal(self) -> None:
        """Put dense values in place of the zeros."""
        if self.dense is not None:
            value = local(self.parameter.detach())
            torch.where(self.on_gradient.keep, value, local(self.dense), out=value)
            self._is_revealed = True

    def conceal(self) -> None:
        """Put the zeros back; dense values that were revealed are stored."""
        if self.dense is not None and self._is_revealed:
            self.dense.copy_(self.parameter.detach())
            self._is_revealed = False
        self.zero()
