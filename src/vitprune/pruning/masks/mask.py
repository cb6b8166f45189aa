"""The mask of one parameter."""

import torch
from torch import Tensor, nn

from vitprune.pruning.masks.sharding import local, place


class Mask:
    """The mask of one parameter, whose pruned entries are zero.

    With `straight_through`, pruned entries also have dense values, which are trained while the
    parameter has zeros in their place; see `Masks`.

    Args:
        name: Dotted name of the parameter in its model.
        parameter: The parameter, whole or sharded.
        keep: A boolean tensor of the parameter's shape, True = keep; whole on every rank, also if
            the parameter is sharded.
        straight_through: Whether pruned entries are trained as well.

    Attributes:
        dense: Dense values of the pruned entries, in a tensor of the parameter's shape and
            sharding; None without `straight_through`.

    """

    def __init__(
        self, name: str, parameter: nn.Parameter, keep: Tensor, *, straight_through: bool = False
    ) -> None:
        self.name = name
        self.parameter = parameter
        self.keep = keep
        self.dense = parameter.detach().clone() if straight_through else None
        self._has_dense_values = False  # in the parameter, in place of the zeros
        self.follow()

    def follow(self) -> None:
        """Use what was written to `keep`, on the device and in the type of the parameter."""
        self.keep = self.keep.to(self.parameter.device)
        if self.dense is not None:
            self.dense = self.dense.to(self.parameter.device, self.parameter.dtype)
        self._keep = local(place(self.keep, self.parameter))  # this rank's part

    def zero(self) -> None:
        """Set the pruned entries to zero."""
        self._zero(self.parameter)

    def zero_gradient(self, parameter: Tensor) -> None:
        """Set the gradients of the pruned entries to zero, as a hook of the parameter."""
        if parameter.grad is not None:
            self._zero(parameter.grad)

    def zero_copy(self, copy: Tensor) -> None:
        """Set the pruned entries of a copy of the parameter to zero, on any device."""
        value = local(copy.detach())
        torch.where(local(place(self.keep, copy)), value, value.new_zeros(()), out=value)

    def is_broken(self) -> Tensor:
        """Return whether any pruned entry is not zero: a boolean tensor, (), on its device."""
        return (local(self.parameter.detach()).bool() > self._keep).any()

    def reveal(self) -> None:
        """Replace the zeros in the parameter by the dense values, if there are any."""
        if self.dense is not None:
            value = local(self.parameter.detach())
            torch.where(self._keep, value, local(self.dense), out=value)
            self._has_dense_values = True

    def conceal(self) -> None:
        """Store the dense values after `reveal`, and set the pruned entries to zero."""
        if self.dense is not None and self._has_dense_values:
            self.dense.copy_(self.parameter.detach())
            self._has_dense_values = False
        self.zero()

    def _zero(self, tensor: Tensor) -> None:
        value = local(tensor.detach())
        # a product with the mask would leave -0.0 and NaN
        torch.where(self._keep, value, value.new_zeros(()), out=value)
