"""Where the parts of small models are, by names written down here and not asked of vitprune."""

import re

from torch import nn

HEAD_DIM = 8  # of all families
ATTENTION_OUTPUT = re.compile(
    r".*(o_proj|self_attn\.out_proj|attention\.output\.dense|(attn|attention)\.proj)"
)
MLP_OUTPUT = re.compile(
    r".*(mlp\.(fc2|weights_out)|down_proj|dense2|pwconv2|(layer|layers|blocks)\.\d+\.output\.dense)"
)
POOLING = re.compile(r"(vision_model\.head|(timm_model\.)?attn_pool)\.")


def attention_outputs(net: nn.Module) -> list[nn.Linear]:
    """Return the output projection of the attention of every block, (D, heads * HEAD_DIM)."""
    return _matching(net, ATTENTION_OUTPUT)


def mlp_outputs(net: nn.Module) -> list[nn.Linear]:
    """Return the output projection of the MLP of every block, (D, neurons)."""
    return _matching(net, MLP_OUTPUT)


def _matching(net: nn.Module, pattern: re.Pattern[str]) -> list[nn.Linear]:
    """Return the linear layers with such names, except those of pooling heads."""
    return [
        module
        for name, module in net.named_modules()
        if isinstance(module, nn.Linear) and pattern.fullmatch(name) and not POOLING.match(name)
    ]
