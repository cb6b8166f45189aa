"""Parameters on which no logit depends, such as a pooling head that a classifier does not use."""

from collections.abc import Set

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import nn
from transformers import PreTrainedModel

from vitprune.model.trial import CANNOT_RUN, trial, trial_shape


def freeze_unused(net: PreTrainedModel) -> None:
    """Freeze the parameters on which no logit depends, and report them.

    These parameters get no gradient. Criteria that need gradients could not rank them, and in
    distributed training the processes would wait for their gradients.

    Args:
        net: An image classifier; its weights, buffers and mode stay as they are.

    """
    unused = find_unused(net)
    for parameter in unused:
        parameter.requires_grad = False
    if unused:
        count = sum(parameter.numel() for parameter in unused)
        names = ", ".join(_outermost("", net, unused))
        rank_zero_info(
            f"Freezing {count:,} parameters on which the logits do not depend; they are neither "
            f"trained nor pruned: {names}"
        )


def find_unused(net: PreTrainedModel) -> set[nn.Parameter]:
    """Return the parameters that get no gradient from the logits, in training and evaluation.

    Found on the meta device, without computing values. Empty if the model cannot run there.
    """
    try:
        with trial(net):
            # biases may be cached in evaluation, layers dropped at random in training
            used = _used(net) | _used(net.train())
    except CANNOT_RUN:
        return set()
    return {parameter for name, parameter in net.named_parameters() if name not in used}


def _used(net: PreTrainedModel) -> set[str]:
    """Return the names of the parameters that get a gradient from the logits of images."""
    parameters = {
        name: parameter.detach().to("meta").requires_grad_()
        for name, parameter in net.named_parameters()
    }
    buffers = {name: buffer.to("meta") for name, buffer in net.named_buffers()}
    images = torch.zeros(2, *trial_shape(net.config), device="meta", dtype=net.dtype)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        outputs = torch.func.functional_call(
            net, {**parameters, **buffers}, kwargs={"pixel_values": images}
        )
        gradients = torch.autograd.grad(
            outputs.logits.sum(), list(parameters.values()), allow_unused=True
        )
    return {
        name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None
    }


def _outermost(name: str, module: nn.Module, unused: Set[nn.Parameter]) -> list[str]:
    """Return the names of the outermost modules, and of single parameters, that are unused."""
    inside = set(module.parameters())
    if inside and inside <= unused:
        return [name]
    own = module.named_parameters(prefix=name, recurse=False)
    found = [parameter_name for parameter_name, parameter in own if parameter in unused]
    for child_name, child in module.named_children():
        found += _outermost(f"{name}.{child_name}".removeprefix("."), child, unused)
    return found
