"""`vitprune shrink`: its budget, and the latency before and after."""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Goal:
    """What a smaller model should have; one of these, the others are None.

    Attributes:
        flops: Fraction of the FLOPs to remove, in (0, 1).
        parameters: Fraction of the parameters to remove, in (0, 1).
        speedup: Speed-up to reach, above 1.

    Raises:
        UsageError: If not exactly one is given, or it is out of range.

    """

    flops: float | None
    parameters: float | None
    speedup: float | None

    def __post_init__(self) -> None:
        """Check the numbers."""
        given = [each for each in (self.flops, self.parameters, self.speedup) if each is not None]
        if len(given) != 1:
            raise UsageError(
                f"exactly one of --flops, --parameters and --speedup is needed, not {len(given)}; "
                "--flops 0.5 removes half of the FLOPs."
            )
        if self.speedup is not None and self.speedup <= 1:
            raise UsageError(
                f"--speedup must be above 1, not {self.speedup}; 1.5 is one and a half times as "
                "fast."
            )
        if self.speedup is None and not 0 < given[0] < 1:
            raise UsageError(
                f"the fraction to remove must lie in (0, 1), not {given[0]}; 0.5 removes half."
            )

    @property
    def fraction(self) -> float:
        """Fraction of the budget to remove, in (0, 1)."""
        return self.flops or self.parameters or 1 - 1 / (self.speedup or 1)

    def budget(self, net: PreTrainedModel, granularity: Granularity) -> Budget:
        """Return what is counted; for a speed-up, a latency table of the model is measured."""
        if self.speedup is None:
            return FLOPs() if self.flops else Parameters()
        latency = Latency()
        conditions = conditions_here(DEVICE)
        latency.measured = table_of(net, structures_of(granularity), DEVICE, conditions)
        return latency


def run(model: str, images: str, output: str, goal: Goal, effort: Effort) -> None:
    """Remove structure of a model without training; print its size and its latency.

    Args:
        model: Hub name or folder of a model, or `digits`.
        images: Folder of images, or anything else that `data.source` can be.
        output: Folder of the export.
        goal: What the smaller model should have.
        effort: Numbers of images and of trials.

    """
    done = shrink_without_training(model, images, output, goal.budget, goal.fraction, effort)
    dense, small = dense_of(ExportFolder(Path(output))), load_pruned(output)
    print(describe(done))
    print(describe_latency(compare_latency(dense, small, DEVICE, conditions_here(DEVICE))))
    print(f"Exported to {output}")
    if done.is_backbone:
        folder = str(Path(output) / BACKBONE)
        print(f"AutoModel.from_pretrained({folder!r}) loads the backbone")
