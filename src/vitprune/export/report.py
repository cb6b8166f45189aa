"""The parts of `report.json` that describe the run behind an export."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch

from vitprune.pruning.sparsity import Sparsity
from vitprune.runs.report import Environment, ModelReport, SparsityReport
from vitprune.runs.rounds import RoundReport

PACKAGES = ("vitprune", "torch", "lightning", "transformers", "datasets", "torchvision")
ACCURACY = "val/accuracy"


def describe_sparsity(sparsity: Sparsity) -> SparsityReport:
    """Return the fractions of zeros without the counts."""
    return SparsityReport(sparsity.prunable, sparsity.total, sparsity.layers)


def describe_dense(
    pruning: Mapping[str, Any] | None, parameters: int, flops: int, bytes: int
) -> ModelReport:
    """Describe the dense model.

    Args:
        pruning: State of the pruning callback; None if nothing was pruned.
        parameters: Number of parameters.
        flops: FLOPs of one image.
        bytes: Size of the weights.

    """
    metrics = pruning["dense"] if pruning else {}
    zeros = pruning["dense_zeros"] if pruning else None
    return ModelReport(
        accuracy=metrics.get(ACCURACY),
        loss=metrics.get("val/loss"),
        parameters=parameters,
        nonzero_parameters=None if zeros is None else parameters - zeros,
        flops=flops,
        bytes=bytes,
    )


def describe_rounds(pruning: Mapping[str, Any] | None) -> list[RoundReport]:
    """Return the pruning rounds of a run; without accuracies if it monitored another metric."""
    if pruning is None:
        return []
    has_accuracy = pruning["settings"]["monitor"] == ACCURACY
    return [
        RoundReport(
            round=done["round"],
            epoch=done["epoch"],
            step=done["step"],
            target=done["target"],
            sparsity=done["sparsity"],
            accuracy_pruned=done["pruned"] if has_accuracy else None,
            accuracy_finetuned=done["finetuned"] if has_accuracy else None,
        )
        for done in pruning["rounds"]
    ]


def describe_environment(command: str, seed: int | None, device: torch.device) -> Environment:
    """Describe where and how the run was made: versions, processor, command and seed."""
    versions = {name: version(name) for name in PACKAGES}
    return Environment(
        versions={"python": platform.python_version(), **versions},
        device=processor_name(device),
        command=command,
        seed=seed,
    )


def processor_name(device: torch.device) -> str:
    """Return the name of a GPU, or of the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()
