"""A small net, its training steps, and optimizers to train it."""

import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop

from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import Masks, Method
from vitprune.pruning.update import update_masks

X = torch.randn(12, 8, generator=torch.Generator().manual_seed(1))
Y = torch.randn(12, 4, generator=torch.Generator().manual_seed(2))
OPTIMIZERS = {
    "sgd": lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "sgd nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "adam l2": lambda p: Adam(p, lr=0.1, weight_decay=0.5),
    "adamw": lambda p: AdamW(p, lr=0.1, weight_decay=0.5),
    "adamw amsgrad": lambda p: AdamW(p, lr=0.1, weight_decay=0.5, amsgrad=True),
    "adamw foreach": lambda p: AdamW(p, lr=0.1, weight_decay=0.5, foreach=True),
    "adamw fused": lambda p: AdamW(p, lr=0.1, weight_decay=0.5, fused=True),
    "rmsprop": lambda p: RMSprop(p, lr=0.1, momentum=0.9, weight_decay=0.1, centered=True),
    "adagrad": lambda p: Adagrad(p, lr=0.1, weight_decay=0.1),
}


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def masks_of(net, **options):
    """Return the masks of all linear layers of a net."""
    return Masks(find_layers(net), **options)


def pruned_net(sparsity=0.5):
    """Return a net that is pruned by magnitude, and its masks."""
    net = small_net()
    masks = masks_of(net)
    update_masks(masks, Method(), sparsity)
    return net, masks


def backward(net):
    loss = nn.functional.mse_loss(net(X), Y)
    loss.backward()
    return loss.item()


def train(net, optimizer, steps=1):
    """Make some training steps, each with a clipped gradient."""
    for _ in range(steps):
        optimizer.zero_grad()
        backward(net)
        parameters = [value for group in optimizer.param_groups for value in group["params"]]
        nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()


def pruned_entries(masks):
    """Return the values of all pruned weights, (pruned,)."""
    return torch.cat([layer.weight[~masks[layer.weight]] for layer in masks.layers]).detach()


def are_zero(values):
    """Return whether there are values, and all are zero, none of them negative."""
    return len(values) > 0 and not values.any() and not values.signbit().any()


def values_of(net):
    return [parameter.detach().clone() for parameter in net.parameters()]
