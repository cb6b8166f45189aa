"""`vitprune shrink`: what is counted, and how fast the result is."""

from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedModel

from vitprune.benchmark.backends import conditions_here
from vitprune.benchmark.candidates import dense_of
from vitprune.benchmark.latency import compare_latency, describe_latency, table_of
from vitprune.errors import UsageError
from vitprune.exports.load import load_pruned
from vitprune.exports.without_training import BACKBONE, Effort, describe, shrink_without_training
from vitprune.pruning import Budget, FLOPs, Granularity, Latency, Parameters
from vitprune.pruning.budget.latency import structures_of
from vitprune.runs.run_folder import ExportFolder

DEVICE = "cpu"


def run(
    model: str,
    images: str,
    output: str,
    wanted: Mapping[str, float | None],
    effort: Effort,
) -> None:
    """Make a model smaller without training; print what it costs now and how fast it is.

    Args:
        model: Hub name or folder of an image classifier, or `digits`.
        images: Folder of images, or another `data.source`.
        output: Folder of the export.
        wanted: Fraction of the `flops` or of the `parameters` to remove, or the `speedup`; the
            others are None.
        effort: Numbers of images and of trials.

    Raises:
        UsageError: If not exactly one is wanted, or it is out of range.

    """
    given = [(name, value) for name, value in wanted.items() if value is not None]
    if len(given) != 1:
        raise UsageError("set one of --flops, --parameters and --speedup.")
    [(counted, value)] = given
    if counted == "speedup" and value <= 1:
        raise UsageError(f"--speedup must be above 1, not {value}; 1.5 is half as fast again.")
    if counted != "speedup" and not 0 < value < 1:
        raise UsageError(
            f"the fraction to remove must lie in (0, 1), not {value}; 0.5 removes half."
        )
    done = shrink_without_training(
        model,
        images,
        output,
        BUDGETS[counted],
        1 - 1 / value if counted == "speedup" else value,
        effort,
    )
    print(describe(done))
    latency = compare_latency(
        dense_of(ExportFolder(Path(output))), load_pruned(output), DEVICE, conditions_here(DEVICE)
    )
    print(describe_latency(latency))
    print(f"Exported to {output}")
    if done.is_backbone:
        folder = str(Path(output) / BACKBONE)
        print(f"AutoModel.from_pretrained({folder!r}) loads it, for its last hidden state")


def _flops(net: PreTrainedModel, granularity: Granularity) -> Budget:
    return FLOPs()


def _parameters(net: PreTrainedModel, granularity: Granularity) -> Budget:
    return Parameters()


def _latency(net: PreTrainedModel, granularity: Granularity) -> Budget:
    budget = Latency()
    budget.measured = table_of(net, structures_of(granularity), DEVICE, conditions_here(DEVICE))
    return budget


BUDGETS = {"flops": _flops, "parameters": _parameters, "speedup": _latency}
