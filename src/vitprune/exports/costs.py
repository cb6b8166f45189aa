"""What a model costs: FLOPs and parameters."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from vitprune.exports.statistics import try_to
from vitprune.model.trial import trial


def count_flops(net: PreTrainedModel, image_shape: Sequence[int]) -> int:
    """Return the FLOPs of one forward pass of one image, counted by torch.

    Args:
        net: Image classifier on the CPU.
        image_shape: (channels, height, width).

    """
    image = torch.zeros(1, *image_shape)
    # The counter misses the fused attention kernels of a CPU. It needs gradients: without them it
    # fails where a module returns a parameter, such as position embeddings.
    with trial(net), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        net(pixel_values=image)
    return counter.get_total_flops()


def try_to_count_flops(net: PreTrainedModel, image_shape: Sequence[int]) -> int | None:
    """Return `count_flops`; None if torch cannot count them."""
    return try_to("count FLOPs", lambda: count_flops(net, image_shape))


def count_parameters(net: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in net.parameters())
