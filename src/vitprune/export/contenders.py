"""What a benchmark compares: the dense model, exported folders, and the same folders in other formats."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from vitprune.export import onnx, semi_structured
from vitprune.export.exported import Logits
from vitprune.export.load import WEIGHTS, load_pruned, load_stock
from vitprune.export.report import count_flops
from vitprune.export.shrinkage import count
from vitprune.model.blocks import Widths, with_widths
from vitprune.model.classifier import net_from_config


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
    before = json.loads(report.read_text()).get("shrunk", {}).get("before") if report.is_file() else None
    if not before:
        return net
    widths = Widths(before["heads"], before["head_dim"], before["neurons"])
    return net_from_config(with_widths(net.config, widths, before["blocks"]))


def contenders_of(folder: Path, setting: Setting) -> Iterator[Contender]:
    """Yield a folder as plain `transformers` loads it, and in the forms that can differ from that in speed here."""
    stock, smallest = load_stock(folder), load_pruned(folder)
    size = next((path.stat().st_size for path in [folder / WEIGHTS] if path.is_file()), None)
    yield contender(folder.name, stock, setting, size)
    if count(smallest) < count(stock):
        yield contender(f"{folder.name}, load_pruned", smallest, setting, size)
    if (file := folder / onnx.FILE).is_file() and setting.device == "cpu":
        facts = contender(f"{folder.name}, ONNX Runtime", smallest, setting, file.stat().st_size)
        yield replace(facts, run=onnx.Runtime(file))
    if setting.device == "cuda" and not semi_structured.missing_gpu() and setting.dtype != torch.float32:
        sparse = load_stock(folder).to("cuda", setting.dtype)
        if semi_structured.find_convertible(sparse)[0]:
            yield contender(f"{folder.name}, 2:4", semi_structured.convert(sparse), setting, size)


def contender(name: str, net: PreTrainedModel, setting: Setting, size: int | None) -> Contender:
    """Let a model take part."""
    shape = image_shape(net.config)
    flops = count_flops(net.float().cpu(), shape[1:])
    model = Logits(net.to(setting.device, setting.dtype)).eval()
    if setting.compile:
        model.compile()
    return Contender(name, model, shape, flops, count(net), size)


def image_shape(config: PreTrainedConfig) -> tuple[int, int, int]:
    """Return (channels, height, width)."""
    size = config.image_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return config.num_channels, height, width
