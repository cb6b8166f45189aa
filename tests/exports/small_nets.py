"""Small models in which structure is set to zero by hand."""

import torch
from transformers import AutoConfig

from tests.conftest import tiny_net
from vitprune.model.anatomy.layers import find_layers
from vitprune.model.loading import net_from_config

HEADS = 2
HEAD_DIM = 8
NEURONS = 12
BLOCKS = 3
STREAM = 16
SIZES = {
    "hidden_size": STREAM,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": HEADS,
    "intermediate_size": NEURONS,
}


def random_net(family="vit", **changes):
    """A net in which every parameter, biases and norms too, is some random number."""
    net = tiny_net(family, **{**SIZES, **changes}).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        parameter.data += 0.3 * torch.randn(
            parameter.shape, generator=generator, dtype=torch.double
        )
    return net


def images(count=3):
    return torch.randn(
        count, 3, 16, 16, dtype=torch.double, generator=torch.Generator().manual_seed(2)
    )


def linear(net, block, role):
    """Return a linear layer of a block."""
    return next(one.module for one in find_layers(net) if (one.block, one.role) == (block, role))


def drop(net, block, role, index, dim, bias=False):
    """Zero rows (dim 0) or columns (dim 1) of a weight."""
    module = linear(net, block, role)
    module.weight.data.index_fill_(dim, torch.as_tensor(index, dtype=torch.long), 0)
    if bias and module.bias is not None:
        module.bias.data.index_fill_(0, torch.as_tensor(index, dtype=torch.long), 0)


def dimensions(heads):
    return [row for head in heads for row in range(head * HEAD_DIM, (head + 1) * HEAD_DIM)]


def tiny_resnet():
    """Return a model without attentions and MLPs."""
    config = AutoConfig.for_model(
        "resnet", embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic"
    )
    return net_from_config(config).eval()
