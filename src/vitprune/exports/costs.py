"""What a model costs: FLOPs and parameters."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from vitprune.exports.attention import eager_attention
from vitprune.model.anatomy.config import vision_config


def count_flops(net: PreTrainedModel, image_size: tuple[int, int]) -> int:
    """Return the FLOPs of one forward pass of one image of (height, width), counted by torch."""
    image = torch.zeros(1, vision_config(net.config).num_channels, *image_size)
    # The counter does not see the fused attention kernels of a CPU.
    with eager_attention(net), FlopCounterMode(display=False) as counter, torch.no_grad():
        net(pixel_values=image)
    return counter.get_total_flops()


def count_parameters(net: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in net.parameters())
