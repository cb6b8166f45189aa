"""Restore what steps and hooks of a LightningModule change, apart from trained parameters."""

import copy
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor, nn
from torchmetrics import Metric

# parameters, submodules and hooks stay
OF_TORCH = frozenset(vars(nn.Module())) - {"training", "_buffers"}


@contextmanager
def attributes_restored(module: nn.Module) -> Iterator[None]:
    """Restore modes, buffers and other attributes of a module and its submodules.

    Containers get their elements back; the elements themselves are not copied.
    """
    children = [child for child in module.modules() if not isinstance(child, Metric)]
    before = [_own(child) for child in children]
    try:
        with tensors_restored(module.buffers()):
            yield
    finally:
        for child, own in zip(children, before, strict=True):
            _restore(vars(child), own)


def _own(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    """Return attributes of a module, by name, with the elements of those that are containers."""
    own = {name: value for name, value in vars(module).items() if name not in OF_TORCH}
    return {name: (value, _elements(value)) for name, value in own.items()}


def _elements(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list | set | deque) else None


def _restore(attributes: dict[str, Any], own: dict[str, tuple[Any, Any]]) -> None:
    for name in attributes.keys() - own.keys() - OF_TORCH:
        del attributes[name]
    for name, (value, elements) in own.items():
        attributes[name] = value
        if elements is not None:
            value.clear()
            (value.extend if isinstance(value, list | deque) else value.update)(elements)


@contextmanager
def tensors_restored(tensors: Iterable[Tensor]) -> Iterator[None]:
    """Restore the values of tensors, in place. Cost: a copy of each."""
    kept = [(tensor, tensor.detach().clone()) for tensor in tensors]
    try:
        yield
    finally:
        for tensor, value in kept:
            if not torch.equal(tensor, value):  # an expanded tensor cannot be written to
                tensor.detach().copy_(value)


@contextmanager
def learning_rates_restored(trainer: Trainer) -> Iterator[None]:
    """Restore the schedulers and the options of the optimizers, which hooks may change."""
    schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
    states = [copy.deepcopy(scheduler.state_dict()) for scheduler in schedulers]
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    options = [
        {name: value for name, value in group.items() if name != "params"} for group in groups
    ]
    rates = [value for group in options for value in group.values() if isinstance(value, Tensor)]
    try:
        with tensors_restored(rates):
            yield
    finally:
        for scheduler, state in zip(schedulers, states, strict=True):
            scheduler.load_state_dict(state)
        for group, before in zip(groups, options, strict=True):
            group.update(before)
