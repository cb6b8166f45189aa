"""Latencies of a model before and after pruning, as stored in `report.json`."""

from dataclasses import dataclass
from typing import Literal

Backend = Literal["eager", "compiled", "onnx"]
TimedType = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class LatencyConditions:
    """How latencies were measured.

    Attributes:
        device: Name of the processor.
        threads: Number of threads on a CPU.
        backend: What runs the model: PyTorch, PyTorch with `torch.compile`, or ONNX Runtime.
        dtype: Type of the computation.
        batch_size: Images in a batch.

    """

    device: str
    threads: int
    backend: Backend
    dtype: TimedType
    batch_size: int

    def __str__(self) -> str:
        images = "1 image" if self.batch_size == 1 else f"{self.batch_size} images"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{images}, {self.backend}, {self.dtype}, {self.device}, {threads}"


@dataclass(frozen=True)
class LatencyReport:
    """Latency of a batch before and after pruning.

    Attributes:
        conditions: How it was measured.
        dense_ms: Of the dense model, in milliseconds.
        pruned_ms: Of the smallest export, in milliseconds, measured in turns with the dense model.
        predicted_speedup: How many times as fast the table predicts, by which pruning went; None
            without one.

    """

    conditions: LatencyConditions
    dense_ms: float
    pruned_ms: float
    predicted_speedup: float | None = None

    @property
    def speedup(self) -> float:
        """How many times as fast as the dense model the export is."""
        return self.dense_ms / self.pruned_ms
