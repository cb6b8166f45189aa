"""Optimizer states by parameter name, so that any strategy can resume what another has saved.

DDP numbers the parameters in the order of the optimizer's groups, Lightning's FSDP2 in the order of
the module. Saved by number, a state of equal shape could silently be given to another parameter.
"""

from typing import Any

from lightning import LightningModule, Trainer

from vitprune.training.lightning_internals import is_a


def to_names(
    trainer: Trainer, module: LightningModule, states: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rename the saved states, one for each optimizer, from numbers to names."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    sharded = is_a(trainer.strategy, "ModelParallelStrategy")
    translated = []
    for optimizer, state in zip(trainer.optimizers, states, strict=True):
        own = [
            names[parameter] for group in optimizer.param_groups for parameter in group["params"]
        ]
        translated.append(_rename(state, dict(enumerate(names.values() if sharded else own))))
    return translated


def to_numbers(trainer: Trainer, states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rename saved states from names to numbers, except for FSDP2, which loads them by name."""
    if is_a(trainer.strategy, "ModelParallelStrategy"):
        return states
    orders = [
        [name for group in state["param_groups"] for name in group["params"]] for state in states
    ]
    return [
        _rename(state, {name: i for i, name in enumerate(order)})
        for state, order in zip(states, orders, strict=True)
    ]


def _rename(state: dict[str, Any], new: dict[Any, Any]) -> dict[str, Any]:
    if not state:  # sharded: only the first rank has one
        return state
    groups = [
        {**group, "params": [new[key] for key in group["params"]]}
        for group in state["param_groups"]
    ]
    return {
        **state,
        "state": {new[key]: value for key, value in state["state"].items()},
        "param_groups": groups,
    }
