"""What a benchmark compares: the dense model, exported folders, and the same folders in other formats."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from vitprune.export import onnx, pt2, semi_structured
from vitprune.export.exported import Logits
from vitprune.export.flops import count_flops
from vitprune.export.load import WEIGHTS, load_pruned, load_stock
from vitprune.export.shrinkage import count
from vitprune.model.anatomy.config import vision_config
from vitprune.model.anatomy.widths import Widths, with_widths
from vitprune.model.loading import net_from_config


@dataclass(frozen=True)
class Setting:
    """How models run.

    Attributes:
        device: `cpu` or `cuda`.
        dtype: float32, float16 or bfloat16.
        compile: Compile with `torch.compile`.

    """

    device: str
    dtype: torch.dtype
    compile: bool


@dataclass(frozen=True)
class Contender:
    """A model that takes part.

    Attributes:
        name: For tables.
        run: Images on the device, (B, channels, height, width), to logits.
        image_shape: (channels, height, width).
        flops: Of one image.
        parameters: Their number.
        bytes: Of the weights on disk; None if they are not on disk.

    """

    name: str
    run: Callable[[Tensor], Any]
    image_shape: tuple[int, int, int]
    flops: int
    parameters: int
    bytes: int | None


def dense_of(folder: Path) -> PreTrainedModel:
    """Return the architecture that an export came from, with random weights, which run as fast as any others."""
    net = load_stock(folder)
    report = folder / "report.json"
    before = (
        json.loads(report.read_text()).get("shrunk", {}).get("before") if report.is_file() else None
    )
    if not before:
        return net
    widths = Widths(before["heads"], before["head_dim"], before["neurons"])
    return net_from_config(with_widths(net.config, widths, before["blocks"]))


def contenders_of(folder: Path, name: str, setting: Setting) -> Iterator[Contender]:
    """Yield a folder as plain `transformers` loads it, and in the forms that can differ from that in speed here."""
    stock, smallest = load_stock(folder), load_pruned(folder)
    size = (folder / WEIGHTS).stat().st_size if (folder / WEIGHTS).is_file() else None
    yield contender(name, stock, setting, size)
    if count(smallest) < count(stock):
        yield contender(f"{name}, load_pruned", smallest, setting, size)
    as_exported = setting.device == "cpu" and setting.dtype == torch.float32
    if (file := folder / pt2.FILE).is_file() and as_exported:
        facts = contender(f"{name}, {pt2.FILE}", smallest, setting, file.stat().st_size)
        yield replace(facts, run=pt2.load(file))
    if (file := folder / onnx.FILE).is_file() and find_spec("onnxruntime") and as_exported:
        facts = contender(f"{name}, ONNX Runtime", smallest, setting, file.stat().st_size)
        yield replace(facts, run=onnx.Runtime(file))
    sparse = load_stock(folder)
    if semi_structured.find_convertible(sparse)[0] and can_run_sparse(setting):
        yield contender(f"{name}, 2:4", sparse, setting, size, sparse=True)


def can_run_sparse(setting: Setting) -> bool:
    """Return whether 2:4 kernels can run."""
    return (
        setting.device == "cuda"
        and setting.dtype != torch.float32
        and not semi_structured.missing_gpu()
    )


def contender(
    name: str, net: PreTrainedModel, setting: Setting, size: int | None, sparse: bool = False
) -> Contender:
    """Let a model take part, with 2:4 kernels if it is `sparse`."""
    shape = image_shape(net.config)
    flops = count_flops(net.float().cpu(), shape[1:])
    net.to(setting.device, setting.dtype)
    model = Logits(semi_structured.convert(net) if sparse else net).eval()
    if setting.compile:
        model.compile(
            dynamic=False
        )  # or the second batch size would get kernels for any size, which are slower
    return Contender(name, model, shape, flops, count(net), size)


def image_shape(config: PreTrainedConfig) -> tuple[int, int, int]:
    """Return (channels, height, width)."""
    config = vision_config(config)
    size = config.image_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return config.num_channels, height, width
