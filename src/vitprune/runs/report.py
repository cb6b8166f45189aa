"""`report.json` of an export: what was pruned, what the result costs, how it was verified."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitprune.runs.benchmark_report import BenchmarkReport
from vitprune.runs.format_report import FormatReport, Verification
from vitprune.runs.latency_report import LatencyReport
from vitprune.runs.rounds import RoundReport
from vitprune.runs.shrink_report import ShrinkReport
from vitprune.runs.typed_json import read_json, write_json


@dataclass(frozen=True)
class ModelReport:
    """What a model achieves and what it costs.

    Attributes:
        accuracy: On the validation images, in [0, 1]; None if it was not measured.
        loss: Mean cross-entropy on the same images; None if it was not measured.
        parameters: Number of parameters.
        nonzero_parameters: Number of parameters that are not zero; None if it is not known.
        flops: Floating-point operations of one image; None if they were not counted.
        bytes: Size of the weights on disk.
        images: Number of validation images; None if the accuracy is that of the run's validation.

    """

    accuracy: float | None
    loss: float | None
    parameters: int
    nonzero_parameters: int | None
    flops: int | None
    bytes: int
    images: int | None = None


@dataclass(frozen=True)
class SparsityReport:
    """Fractions of exact zeros, in [0, 1].

    Attributes:
        prunable: Over the weights of the selected layers.
        total: Over all parameters.
        layers: By layer name.

    """

    prunable: float
    total: float
    layers: dict[str, float]


@dataclass(frozen=True)
class Environment:
    """Where and how the run was made.

    Attributes:
        versions: By package name.
        device: Name of the processor.
        command: Command that repeats the run; None without a run.
        seed: Seed of the run; None if it is not known.

    """

    versions: dict[str, str]
    device: str
    command: str | None
    seed: int | None


@dataclass(frozen=True)
class RunReport:
    """Content of `report.json`.

    Attributes:
        finished: Whether the pruning schedule was complete.
        is_best: Whether the epoch was chosen by its validation metric.
        sparsity: Fractions of zeros.
        base: The dense model before pruning.
        pruned: The exported model.
        rounds: Pruning rounds in their order.
        shrunk: What was physically removed.
        formats: Further formats, by name.
        verification: How the export compares with the pruned model.
        environment: Versions, device, command and seed.
        failed_formats: Why the conversion to a further format failed, by name.
        latency: Latency before and after, where pruning went by latency; else None.
        benchmark: Result of `vitprune benchmark`; None if it was not run.

    """

    finished: bool
    is_best: bool
    sparsity: SparsityReport
    base: ModelReport
    pruned: ModelReport
    rounds: Sequence[RoundReport]
    shrunk: ShrinkReport
    formats: dict[str, FormatReport]
    verification: Verification
    environment: Environment
    failed_formats: dict[str, str] = field(default_factory=dict)
    latency: LatencyReport | None = None
    benchmark: BenchmarkReport | None = None

    @classmethod
    def read(cls, path: Path) -> "RunReport":
        """Read a `report.json`.

        Raises:
            UsageError: If the file is missing, damaged or of another version.

        """
        return read_json(path, cls)

    def write(self, path: Path) -> None:
        """Write the report, whole or not at all."""
        write_json(path, self)
