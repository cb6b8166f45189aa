"""The mask of one parameter."""

import torch
from torch import Tensor, nn

from vitprune.pruning.masks.sharding import local, place


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

    """

    def __init__(
        self, name: str, parameter: nn.Parameter, keep: Tensor, *, straight_through: bool = False
    ) -> None:
        self.name = name
        self.parameter = parameter
        self.keep = keep
        self.dense = parameter.detach().clone() if straight_through else None
        self._is_revealed = False
        self.follow()

    def follow(self) -> None:
        """Take over what was written to `keep`, and device and type of the parameter."""
        self.keep = self.keep.to(self.parameter.device)
        if self.dense is not None:
            self.dense = self.dense.to(self.parameter.device, self.parameter.dtype)
        self._keep = local(place(self.keep, self.parameter))  # this rank's part

    def zero(self) -> None:
        """Set the pruned entries to zero."""
        self._zero(self.parameter)

    def zero_gradient(self, parameter: Tensor) -> None:
        """Set the gradients of the pruned entries to zero."""
        if parameter.grad is not None:
            self._zero(parameter.grad)

    def zero_copy(self, copy: Tensor) -> None:
        """Set the pruned entries of a copy of the parameter to zero; it may be elsewhere."""
        value = local(copy.detach())
        torch.where(local(place(self.keep, copy)), value, value.new_zeros(()), out=value)

    def is_broken(self) -> Tensor:
        """Return whether a pruned entry is not zero, (), on the device of the parameter."""
        return (local(self.parameter.detach()).bool() > self._keep).any()

    def reveal(self) -> None:
        """Put dense values in place of the zeros."""
        if self.dense is not None:
            value = local(self.parameter.detach())
            torch.where(self._keep, value, local(self.dense), out=value)
            self._is_revealed = True

    def conceal(self) -> None:
        """Put the zeros back; dense values that were revealed are stored."""
        if self.dense is not None and self._is_revealed:
            self.dense.copy_(self.parameter.detach())
            self._is_revealed = False
        self.zero()

    def _zero(self, tensor: Tensor) -> None:
        value = local(tensor.detach())
        # a product with the mask would leave -0.0 and NaN
        torch.where(self._keep, value, value.new_zeros(()), out=value)
