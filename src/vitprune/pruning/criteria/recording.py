"""Inputs and outputs of layers, recorded while the model runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.weights import CONVOLUTIONS, WEIGHT
from vitprune.pruning.layer_listing import shortened

UNCALLED = nn.modules.linear.NonDynamicallyQuantizableLinear  # of nn.MultiheadAttention


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
    """Collect the calls of each layer, by name, while the context is open.

    Raises:
        UsageError: If a layer cannot be observed (see `check_observable`).

    """
    check_observable(layers)
    calls: dict[str, list[Call]] = {layer.name: [] for layer in layers}

    def record(name: str) -> Callable[..., None]:
        def hook(
            module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor
        ) -> None:
            if torch.is_grad_enabled() and not output.requires_grad:  # nothing before it is trained
                output.requires_grad_()
            inputs = [*args, *kwargs.values()]
            if inputs[0].is_nested:
                raise UsageError(
                    f"Cannot collect calibration statistics for {name}: its input is a nested "
                    "tensor. Set enable_nested_tensor of nn.TransformerEncoder to False."
                )
            calls[name].append(Call(inputs[0].detach(), output))

        return hook

    handles = [
        layer.module.register_forward_hook(record(layer.name), with_kwargs=True) for layer in layers
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def check_observable(layers: Sequence[Layer]) -> None:
    """Check that calibration statistics can be collected for these layers.

    Raises:
        UsageError: If one is a transposed or grouped convolution, a Conv1D of Hugging Face or an
            projection of `nn.MultiheadAttention`.

    """
    refused = [layer for layer in layers if not _is_observable(layer)]
    if refused:
        names = shortened([f"{layer.name} ({type(layer.module).__name__})" for layer in refused])
        raise UsageError(
            f"Cannot collect calibration statistics for {names}: only linear layers and "
            "convolutions that are neither transposed nor grouped have them. Exclude these layers "
            "by pruning.layers.exclude, or use a criterion without calibration, such as Magnitude, "
            "and no regrow."
        )


def _is_observable(layer: Layer) -> bool:
    # the projections of nn.MultiheadAttention are no modules, or modules that are not called
    is_called = layer.attribute == WEIGHT and not isinstance(layer.module, UNCALLED)
    return is_called and not layer.is_transposed and layer.convolution_groups == 1


def as_tokens(
    module: nn.Module, inputs: Tensor, gradients: Tensor | None, images: int
) -> tuple[Tensor, Tensor]:
    """Return inputs and gradients of a call as tokens, in float32.

    Args:
        module: A linear layer, or a convolution without groups, whose tokens are its patches.
        inputs: Its input, (images or windows, ..., in).
        gradients: Gradients of its output; None if there are none.
        images: Number of images in the batch.

    Returns:
        Inputs, (images, tokens, in), and gradients, (images, tokens, out), or (images, tokens, 0)
        if there are none.

    """
    if isinstance(module, CONVOLUTIONS):
        inputs = _patches(module, inputs.float())
        gradients = None if gradients is None else gradients.flatten(2).transpose(1, 2)
    inputs = inputs.float().reshape(images, -1, inputs.shape[-1])
    if gradients is None:
        return inputs, inputs[..., :0]
    return inputs, gradients.float().reshape(images, -1, gradients.shape[-1])


def _patches(module: nn.Conv1d | nn.Conv2d | nn.Conv3d, inputs: Tensor) -> Tensor:
    """Return the patches that a convolution multiplies with its kernels, (images, patches, in).

    `in` is the number of weights of one output: channels times kernel size.
    """
    padding = module._reversed_padding_repeated_twice  # noqa: SLF001 (also that of padding="same")
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    patches = F.pad(inputs, padding, mode)
    for axis, kernel in enumerate(module.kernel_size):
        dilation = module.dilation[axis]
        patches = patches.unfold(axis + 2, dilation * (kernel - 1) + 1, module.stride[axis])
        patches = patches[..., ::dilation]
    # (images, channels, *positions, *kernel) -> (images, *positions, channels, *kernel)
    axes = len(module.kernel_size)
    return patches.movedim(1, axes + 1).flatten(axes + 1).flatten(1, axes)
