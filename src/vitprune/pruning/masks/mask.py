"""The mask of one parameter."""

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vitprune.pruning.masks.sharding import local, place

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by size in bytes


class GradientHook:
    """A hook of a parameter that sets the gradients of pruned entries to zero.

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
    """Set pruned entries to zero, in place.

    Args:
        tensor: A parameter or a gradient, whole or sharded.
        keep: This rank's part of the mask, on any device.

    """
    value = local(tensor.detach())
    # as integers, since a product of floats would leave -0.0 and NaN; torch.where is slow on CPUs
    value.view(INTEGERS[value.element_size()]).mul_(keep.to(value.device))


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
        on_gradient: The hook for the parameter, with this rank's part of the mask.

    """

    def __init__(
        self, name: str, parameter: nn.Parameter, keep: Tensor, *, straight_through: bool = False
    ) -> None:
        self.name = name
        self.parameter = parameter
        self.keep = keep
        self.dense = parameter.detach().clone() if straight_through else None
        self.on_gradient = GradientHook(keep)
        self._has_dense_values = False  # in the parameter, in place of the zeros
        self.refresh()

    def refresh(self) -> None:
        """Take over what was written to `keep`, and device and type of the parameter."""
        self.keep = self.keep.to(self.parameter.device)
        if self.dense is not None:
            self.dense = self.dense.to(self.parameter.device, self.parameter.dtype)
        self.on_gradient.keep = local(place(self.keep, self.parameter))

    def attach_gradient_hook(self) -> RemovableHandle:
        """Set the gradients of pruned entries to zero from now on, when they are accumulated.

        A hook of an earlier mask of this parameter is removed.
        """
        parameter = self.parameter
        hooks = parameter._post_accumulate_grad_hooks or {}  # noqa: SLF001 (no public access)
        for key in [key for key, hook in hooks.items() if isinstance(hook, GradientHook)]:
            del hooks[key]
        is_trained = parameter.requires_grad
        parameter.requires_grad_()  # a frozen parameter takes no hook, and may be trained later
        handle = parameter.register_post_accumulate_grad_hook(self.on_gradient)
        parameter.requires_grad_(is_trained)
        return handle

    def apply(self) -> None:
        """Set pruned entries to zero. Dense values that are in the parameter are stored first."""
        if self.dense is not None and self._has_dense_values:
            self.dense.copy_(self.parameter.detach())
            self._has_dense_values = False
        zero_pruned(self.parameter, self.on_gradient.keep)

    def apply_to(self, copy: Tensor) -> None:
        """Set pruned entries of a copy of the parameter to zero, on any device."""
        zero_pruned(copy, local(place(self.keep, copy)))

    def put_dense(self) -> None:
        """Put the dense values of pruned entries into the parameter, if there are any."""
        if self.dense is not None:
            value = local(self.parameter.detach())
            torch.where(self.on_gradient.keep, value, local(self.dense), out=value)
            self._has_dense_values = True

    def has_nonzero_pruned(self) -> Tensor:
        """Return whether any pruned entry is not zero: a boolean tensor, (), on its device."""
        value = local(self.parameter.detach())
        return (value.bool() > self.on_gradient.keep.to(value.device)).any()
