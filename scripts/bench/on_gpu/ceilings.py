"""The limits of the device: a large matrix product and a large copy."""

from collections.abc import Iterator

import torch

from scripts.bench.on_gpu.figures import Figure
from scripts.bench.on_gpu.part import Result
from scripts.bench.on_gpu.scale import Ceilings, Scale
from scripts.bench.on_gpu.timing import median_ms

MATRIX = "matrix product, bfloat16"
COPY = "copy, bytes read and written"


def ceilings(scale: Scale) -> Iterator[Figure]:
    """Measure the rates, on random data: zeros would be faster."""
    side = 256 if scale.quick else 8192
    left, right = torch.randn(2, side, side, device=scale.device, dtype=torch.bfloat16)
    product_ms = median_ms(lambda: left @ right, scale.device, 4 * scale.repeats)
    yield Figure(MATRIX, 2 * side**3 / product_ms / 1e9, "TFLOP/s")
    size = 1 << (22 if scale.quick else 31)  # bytes, several times the cache
    source = torch.empty(size, device=scale.device, dtype=torch.uint8).random_()
    target = torch.empty_like(source)
    copy_ms = median_ms(lambda: target.copy_(source), scale.device, 4 * scale.repeats)
    yield Figure(COPY, 2 * size / copy_ms / 1e6, "GB/s")


def read_ceilings(result: Result) -> Ceilings | None:
    """Return what the part has measured; None if it failed."""
    values = {figure.name: figure.value for figure in result.figures}
    matrix, copy = values.get(MATRIX), values.get(COPY)
    if matrix is None or copy is None:
        return None
    return Ceilings(matrix_flops=1e12 * matrix, bytes_per_s=1e9 * copy)
