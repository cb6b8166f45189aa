"""FLOPs of a forward pass."""

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from vitprune.export.attention import eager_attention
from vitprune.model.anatomy.config import vision_config


def count_flops(net: PreTrainedModel, image_shape: tuple[int, int]) -> int:
    """Return the floating-point operations of one forward pass of one image, as torch counts them."""
    image = torch.zeros(1, vision_config(net.config).num_channels, *image_shape)
    with (
        eager_attention(net),
        FlopCounterMode(display=False) as counter,
        torch.no_grad(),
    ):  # it misses CPU kernels of attention
        net(pixel_values=image)
    return counter.get_total_flops()
