"""How benchmarked models run."""

from dataclasses import dataclass

import torch

from vitprune.benchmark.cpu import cpu_name
from vitprune.exports import semi_structured
from vitprune.runs.benchmark_report import Conditions


@dataclass(frozen=True)
class Setting:
    """How models run.

    Attributes:
        device: `cpu` or `cuda`.
        dtype: float32, float16 or bfloat16.
        compile: Whether models are compiled by `torch.compile`.
        token_merging: Tokens that each block merges in an additional candidate; 0 for none.

    """

    device: str
    dtype: torch.dtype
    compile: bool
    token_merging: int = 0

    @property
    def runs_programs(self) -> bool:
        """Whether exported programs can run, which compute on a CPU in float32."""
        return self.device == "cpu" and self.dtype == torch.float32

    @property
    def runs_sparse_kernels(self) -> bool:
        """Whether 2:4 kernels can run."""
        is_half = self.dtype != torch.float32
        return self.device == "cuda" and is_half and semi_structured.missing_gpu() is None


def describe_conditions(setting: Setting, batch_size: int, repeats: int) -> Conditions:
    """Describe the settings and the device of a measurement."""
    on_gpu = setting.device == "cuda"
    return Conditions(
        batch_size=batch_size,
        repeats=repeats,
        device=torch.cuda.get_device_name() if on_gpu else cpu_name(),
        threads=torch.get_num_threads(),
        dtype=str(setting.dtype).removeprefix("torch."),
        compile=setting.compile,
        torch=torch.__version__,
    )
