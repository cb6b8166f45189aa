"""The contents of `report.json`."""

import platform
from importlib.metadata import version
from typing import Any

import torch

from vitprune.runs.checkpoint import PRUNING

PACKAGES = ("vitprune", "torch", "lightning", "transformers", "datasets", "torchvision")


NEVER_PRUNED: dict[str, Any] = {
    "finished": True,
    "rounds": [],
    "dense": {},
    "dense_zeros": None,
    "settings": {},
}


ACCURACY = "val/accuracy"


def describe_environment(command: str, seed: int | None, device: torch.device) -> dict[str, Any]:
    """Return versions, the device by name, command and seed."""
    cuda = device.type == "cuda"
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "device": torch.cuda.get_device_name(device)
        if cuda
        else platform.processor() or platform.machine(),
        "command": command,
        "seed": seed,
    }


def describe_run(checkpoint: dict[str, Any], parameters: int) -> dict[str, Any]:
    """Return what the report says about the run behind a checkpoint of a model with so many parameters."""
    state = checkpoint.get("callbacks", {}).get(PRUNING, NEVER_PRUNED)
    accuracy = (
        state["settings"].get("monitor", ACCURACY) == ACCURACY
    )  # earlier checkpoints do not say what they have monitored
    return {
        "finished": state["finished"],
        "base": {
            "accuracy": state["dense"].get(ACCURACY),
            "loss": state["dense"].get("val/loss"),
            "nonzero_parameters": None
            if state["dense_zeros"] is None
            else parameters - state["dense_zeros"],
        },
        "rounds": [
            {
                **{key: values[key] for key in ("round", "epoch", "step", "target", "sparsity")},
                "accuracy_pruned": values["pruned"] if accuracy else None,
                "accuracy_finetuned": values["finetuned"] if accuracy else None,
            }
            for values in state["rounds"]
        ],
    }
