"""Inputs and outputs of layers, recorded while the model runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        inputs: Its input, detached.
        output: Its output, as a part of the graph.

    """

    inputs: Tensor
    output: Tensor


@contextmanager
def recorded(layers: Sequence[Layer]) -> Iterator[dict[str, list[Call]]]:
    """Collect the calls of each layer, by name, whenever the model runs."""
    calls: dict[str, list[Call]] = {layer.name: [] for layer in layers}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if torch.is_grad_enabled() and not output.requires_grad:  # nothing before it is trained
                output.requires_grad_()
            calls[name].append(Call(inputs[0].detach(), output))

        return hook

    handles = [layer.module.register_forward_hook(record(layer.name)) for layer in layers]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def as_tokens(
    module: nn.Module, inputs: Tensor, gradients: Tensor | None, images: int
) -> tuple[Tensor, Tensor]:
    """Return inputs and gradients of a call as tokens, in float32.

    Args:
        module: A linear layer, or a convolution, whose tokens are its patches.
        inputs: Its input, (images or windows, ..., in).
        gradients: Gradients of its output; None if there are none.
        images: Number of images in the batch.

    Returns:
        Inputs, (images, tokens, in), and gradients, (images, tokens, out), or (images, tokens, 0)
        if there are none.

    Raises:
        UsageError: If a convolution has groups, or padding that is not a number.

    """
    if isinstance(module, nn.Conv2d):
        padding = _padding(module)
        patches = F.unfold(
            inputs.float(), module.kernel_size, module.dilation, padding, module.stride
        )
        inputs = patches.transpose(1, 2)
        gradients = None if gradients is None else gradients.flatten(2).transpose(1, 2)
    inputs = inputs.float().reshape(images, -1, inputs.shape[-1])
    if gradients is None:
        return inputs, inputs[..., :0]
    return inputs, gradients.float().reshape(images, -1, gradients.shape[-1])


def _padding(module: nn.Conv2d) -> tuple[int, ...]:
    if isinstance(module.padding, str) or module.groups != 1:
        raise UsageError(
            f"Cannot collect calibration statistics for {module}: it has groups, or padding that "
            "is not a number. Exclude it by pruning.layers.exclude."
        )
    return module.padding
