"""Speeds of models, as stored in `report.json`."""

from dataclasses import dataclass


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
        accuracy: On the validation images, in [0, 1], as the report of its export has it; None if
            it is not known.

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
    accuracy: float | None = None


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
class Benchmark(Conditions):
    """Conditions and result of `vitprune benchmark`.

    Attributes:
        models: Speed of every model, the dense one first.

    """

    models: list[Speed]


@dataclass(frozen=True)
class BenchmarkReport(Benchmark):
    """The same as `report.json` has it.

    Attributes:
        export: Name of this export among the models.

    """

    export: str

    def of_export(self) -> Speed | None:
        """Return the speed of this export; None if it is not among the models."""
        return next((speed for speed in self.models if speed.name == self.export), None)
