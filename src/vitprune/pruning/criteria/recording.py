"""Inputs and outputs of layers, recorded while the model runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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


class Recording:
    """Calls of layers while a model runs.

    A layer is called as a module, or by `torch.nn.functional.linear` with its weight: some models
    of timm add the bias of a fused query, key and value themselves.

    Args:
        layers: The layers.

    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.of_modules: dict[str, list[Call]] = {layer.name: [] for layer in layers}
        self.of_weights: dict[str, list[Call]] = {layer.name: [] for layer in layers}

    def calls(self) -> dict[str, tuple[Call, ...]]:
        """Return the calls of each layer since `clear`; if it has none, those of its weight."""
        return {
            name: tuple(calls or self.of_weights[name]) for name, calls in self.of_modules.items()
        }

    def clear(self) -> None:
        """Forget all calls."""
        for calls in (*self.of_modules.values(), *self.of_weights.values()):
            calls.clear()


@contextmanager
def recorded(layers: Sequence[Layer]) -> Iterator[Recording]:
    """Collect the calls of each layer while the context is open.

    Raises:
        UsageError: If a layer cannot be observed (see `check_observable`).

    """
    check_observable(layers)
    recording = Recording(layers)

    def record(name: str) -> Callable[..., None]:
        def hook(
            module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor
        ) -> None:
            inputs = [*args, *kwargs.values()]
            recording.of_modules[name].append(_call(name, inputs[0], output))

        return hook

    handles = [
        layer.module.register_forward_hook(record(layer.name), with_kwargs=True) for layer in layers
    ]
    try:
        with _Products(layers, recording.of_weights):
            yield recording
    finally:
        for handle in handles:
            handle.remove()


class _Products(TorchFunctionMode):
    """Records the calls of `torch.nn.functional.linear` with weights of layers."""

    def __init__(self, layers: Sequence[Layer], calls: dict[str, list[Call]]) -> None:
        super().__init__()
        self.layers = layers
        self.calls = calls

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        output = func(*args, **given)
        if func is F.linear:
            inputs = args[0] if args else given["input"]
            weight = args[1] if len(args) > 1 else given["weight"]
            for layer in self.layers:
                # read at each call, as sharded weights differ between calls
                if layer.weight is weight:
                    self.calls[layer.name].append(_call(layer.name, inputs, output))
        return output


def _call(name: str, inputs: Tensor, output: Tensor) -> Call:
    if torch.is_grad_enabled() and not output.requires_grad:  # no trained parameter before it
        output.requires_grad_()
    if inputs.is_nested:
        raise UsageError(
            f"Cannot collect calibration statistics for {name}: its input is a nested tensor. Set "
            "enable_nested_tensor of nn.TransformerEncoder to False."
        )
    return Call(inputs.detach(), output)


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
            "no compensation and no regrow."
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
