"""`report.json` of an export: what was pruned, what the result costs, how it was verified."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitprune.runs.rounds import RoundReport
from vitprune.runs.typed_json import read_json, write_json


@dataclass(frozen=True)
class ModelReport:
    """What a model achieves and what it costs.

    Attributes:
        accuracy: On the validation images, in [0, 1]; None if it was not measured.
        loss: Mean cross-entropy on the same images; None if it was not measured.
        parameters: Number of parameters.
        nonzero_parameters: Number of parameters that are not zero; None if it is not known.
        flops: Floating-point operations of one image.
        bytes: Size of the weights on disk.
        images: Number of validation images; None if the accuracy is that of the run's validation.

    """

    accuracy: float | None
    loss: float | None
    parameters: int
    nonzero_parameters: int | None
    flops: int
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
class BlockWidths:
    """Inner widths of one transformer block.

    Attributes:
        heads: Number of attention heads.
        head_dim: Dimensions of a head.
        neurons: Number of neurons of the MLP.

    """

    heads: int
    head_dim: int
    neurons: int


@dataclass(frozen=True)
class ModelWidths:
    """Number of blocks of a model and the inner widths that all of them have.

    Attributes:
        blocks: Number of blocks.
        heads: Number of attention heads of a block.
        head_dim: Dimensions of a head.
        neurons: Number of neurons of an MLP.

    """

    blocks: int
    heads: int
    head_dim: int
    neurons: int


@dataclass(frozen=True)
class ShrinkReport:
    """What was physically removed from the tensors, and which zeros stayed.

    Attributes:
        dropped_parameters: Number of parameters removed from the stored model.
        reason: Why nothing was removed; None if shrinking ran.
        before: Number of blocks and their widths before shrinking; None if shrinking did not run.
        after: The same after shrinking.
        blocks: Widths of every block in the smallest model.
        dropped_by_load_pruned: Further parameters that `load_pruned` removes.
        stayed: Number of zeros that stayed, by reason.
        largest_logit_difference_float64: Between the masked and the shrunk model.

    """

    dropped_parameters: int
    reason: str | None = None
    before: ModelWidths | None = None
    after: ModelWidths | None = None
    blocks: list[BlockWidths] = field(default_factory=list)
    dropped_by_load_pruned: int = 0
    stayed: dict[str, int] = field(default_factory=dict)
    largest_logit_difference_float64: float | None = None

    @property
    def ran(self) -> bool:
        """Whether shrinking was possible and asked for."""
        return self.reason is None


@dataclass(frozen=True)
class FormatReport:
    """One further format of an export.

    Attributes:
        bytes: Size of the file; None if the format writes no file.
        lossless: Whether the file restores the weights bit for bit.
        largest_logit_difference: From the masked model; None if it was not compared.
        top1_agreement: Share of images with the same class, in [0, 1].
        images: Number of images compared.
        layers: Names of the converted layers.
        dense_layers: By name of a layer that was not converted, the reason.
        converted: Whether the model was converted on this machine.
        note: What was not tried, and why.

    """

    bytes: int | None = None
    lossless: bool | None = None
    largest_logit_difference: float | None = None
    top1_agreement: float | None = None
    images: int | None = None
    layers: list[str] = field(default_factory=list)
    dense_layers: dict[str, str] = field(default_factory=dict)
    converted: bool | None = None
    note: str | None = None


@dataclass(frozen=True)
class Verification:
    """How the exported model compares with the masked one.

    Attributes:
        largest_logit_difference: Between the masked model and the folder loaded by plain
            `transformers`; 0 if only the masks were removed.
        zeros_in_file: Number of exact zeros among the stored parameters.
        images: Number of validation images compared.

    """

    largest_logit_difference: float
    zeros_in_file: int
    images: int


@dataclass(frozen=True)
class Environment:
    """Where and how the run was made.

    Attributes:
        versions: By package name.
        device: Name of the processor.
        command: Command that repeats the run.
        seed: Seed of the run; None if it is not known.

    """

    versions: dict[str, str]
    device: str
    command: str
    seed: int | None


@dataclass(frozen=True)
class Speed:
    """Speed and size of one benchmarked model.

    Attributes:
        name: Name of the model.
        latency_ms: Median time of a batch of one, in milliseconds.
        latency_spread_ms: Distance between the quartiles of these times.
        images_per_s: Median throughput at the given batch size.
        images_per_s_spread: Distance between the quartiles of the throughput.
        measured_speedup: Throughput relative to the first model: median of the ratios of each
            round.
        theoretical_speedup: FLOPs of the first model relative to those of this one.
        flops: Floating-point operations of one image.
        parameters: Number of parameters.
        bytes: Size of the weights on disk; None if they are not on disk.

    """

    name: str
    latency_ms: float
    latency_spread_ms: float
    images_per_s: float
    images_per_s_spread: float
    measured_speedup: float
    theoretical_speedup: float
    flops: int
    parameters: int
    bytes: int | None


@dataclass(frozen=True)
class Conditions:
    """How models were benchmarked.

    Attributes:
        batch_size: Images in a batch, for throughput.
        repeats: Number of rounds after the warm-up.
        device: Name of the processor.
        threads: Number of threads of torch.
        dtype: Type of the computation.
        compile: Whether `torch.compile` was used.
        torch: Version of torch.

    """

    batch_size: int
    repeats: int
    device: str
    threads: int
    dtype: str
    compile: bool
    torch: str


@dataclass(frozen=True)
class BenchmarkReport:
    """Result of `vitprune benchmark`.

    Attributes:
        export: Name of this export among the models.
        conditions: How they were measured.
        models: Speed of every model, the dense one first.

    """

    export: str
    conditions: Conditions
    models: list[Speed]

    def of_export(self) -> Speed | None:
        """Return the speed of this export; None if it is not among the models."""
        return next((speed for speed in self.models if speed.name == self.export), None)


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
        verification: How the export compares with the masked model.
        environment: Versions, device, command and seed.
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
