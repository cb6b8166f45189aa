"""Restore what steps and hooks of modules and callbacks change, except parameters."""

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor, nn

# attributes of nn.Module that are not restored: parameters, submodules and hooks
OF_TORCH = frozenset(vars(nn.Module())) - {"training", "_buffers"}


@contextmanager
def attributes_restored(owners: Iterable[object]) -> Iterator[None]:
    """Restore attributes of objects on exit, and the elements of lists, sets, deques and dicts.

    The states of generators are restored, too. Other objects that attributes and elements refer to
    are not copied: changes inside them stay.
    Parameters, submodules and hooks of modules are not restored.
    """
    before = [(owner, _attributes(owner)) for owner in owners]
    try:
        yield
    finally:
        for owner, attributes in before:
            _restore(vars(owner), attributes)


def _attributes(owner: object) -> dict[str, tuple[Any, Any]]:
    """Return the value of each attribute, by name, with its elements if it is a container."""
    own = {name: value for name, value in vars(owner).items() if name not in OF_TORCH}
    return {name: (value, _elements(value)) for name, value in own.items()}


def _elements(value: Any) -> Any:
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list | set | deque) else None


def _restore(now: dict[str, Any], before: dict[str, tuple[Any, Any]]) -> None:
    for name in now.keys() - before.keys() - OF_TORCH:
        del now[name]
    for name, (value, elements) in before.items():
        now[name] = value
        if isinstance(value, torch.Generator):
            value.set_state(elements)
        elif elements is not None:
            value.clear()
            (value.extend if isinstance(value, list | deque) else value.update)(elements)


@contextmanager
def generators_restored(loaders: Sequence[object]) -> Iterator[None]:
    """Restore the generators of DataLoaders and their samplers on exit."""
    samplers = [getattr(loader, "sampler", None) for loader in loaders]
    found = {getattr(owner, "generator", None) for owner in (*loaders, *samplers)}
    states = [(each, each.get_state()) for each in found if isinstance(each, torch.Generator)]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)


@contextmanager
def tensors_restored(tensors: Iterable[Tensor]) -> Iterator[None]:
    """Restore the values of tensors on exit, in place.

    Cost: a copy of each tensor.
    """
    kept = [(tensor, tensor.detach().clone()) for tensor in tensors]
    try:
        yield
    finally:
        for tensor, value in kept:
            if not torch.equal(tensor, value):  # an expanded tensor cannot be written to
                tensor.detach().copy_(value)


@contextmanager
def learning_rates_restored(trainer: Trainer) -> Iterator[None]:
    """Restore learning-rate schedulers and the options of optimizers on exit."""
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
