"""Parts of `report.json`: sparsity, the dense model, the environment of the run."""

import platform
from importlib.metadata import version

import torch

from vitprune.pruning.sparsity import Sparsity
from vitprune.runs.pruning_record import PruningRecord
from vitprune.runs.report import Environment, ModelReport, SparsityReport

PACKAGES = ("vitprune", "torch", "lightning", "transformers", "datasets", "torchvision")


def describe_sparsity(sparsity: Sparsity) -> SparsityReport:
    """Return the fractions of zeros without the counts."""
    return SparsityReport(sparsity.prunable, sparsity.total, sparsity.layers)


def describe_dense(
    record: PruningRecord, parameters: int, flops: int | None, bytes: int
) -> ModelReport:
    """Describe the dense model.

    Args:
        record: What the run recorded about it.
        parameters: Number of parameters.
        flops: FLOPs of one image; None if they were not counted.
        bytes: Size of the weights.

    """
    zeros = record.dense_zeros
    return ModelReport(
        accuracy=record.dense_accuracy,
        loss=record.dense_loss,
        parameters=parameters,
        nonzero_parameters=None if zeros is None else parameters - zeros,
        flops=flops,
        bytes=bytes,
    )


def describe_environment(
    command: str | None, seed: int | None, device: torch.device
) -> Environment:
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
