"""The models that a benchmark compares: the dense one, and exports in each of their formats."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from vitprune.benchmark.setting import Setting
from vitprune.exports import onnx, pt2, semi_structured
from vitprune.exports.costs import count_flops, count_parameters
from vitprune.exports.load import load_pruned, load_stock
from vitprune.model.anatomy.config import image_shape
from vitprune.model.anatomy.widths import with_settings
from vitprune.model.loading import net_from_config
from vitprune.model.logits import Logits
from vitprune.model.token_merging import merge_tokens
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import ExportFolder


@dataclass(frozen=True)
class Candidate:
    """A model to measure.

    Attributes:
        name: Name in tables.
        run: Images on the device, (B, channels, height, width), to logits.
        image_shape: (channels, height, width).
        flops: FLOPs of one image.
        parameters: Number of parameters.
        bytes: Size of the weights on disk; None if they are not on disk.

    """

    name: str
    run: Callable[[Tensor], Any]
    image_shape: tuple[int, int, int]
    flops: int
    parameters: int
    bytes: int | None


def candidate(
    name: str, net: PreTrainedModel, setting: Setting, size: int | None, *, sparse: bool = False
) -> Candidate:
    """Return a model as a candidate.

    Args:
        name: Name in tables.
        net: The model; it is moved to the device.
        setting: How it runs.
        size: Bytes of its weights on disk; None if they are not on disk.
        sparse: Whether 2:4 sparse layers use 2:4 kernels.

    """
    shape = image_shape(net.config)
    flops = count_flops(net.float().cpu(), shape)
    net.to(setting.device, setting.dtype)
    model = Logits(semi_structured.convert(net) if sparse else net).eval()
    if setting.compile:
        model.compile(dynamic=False)  # kernels for any batch size would be slower
    return Candidate(name, model, shape, flops, count_parameters(net), size)


def candidates_of(folder: ExportFolder, name: str, setting: Setting) -> Iterator[Candidate]:
    """Yield the model of an export, and each further format that can differ from it in speed."""
    stock, smallest = load_stock(folder.path), load_pruned(folder.path)
    size = _size(folder)
    yield candidate(name, stock, setting, size)
    if count_parameters(smallest) < count_parameters(stock):
        yield candidate(f"{name}, load_pruned", smallest, setting, size)
    if setting.token_merging:
        merging = load_pruned(folder.path)
        merge_tokens(merging, setting.token_merging)
        yield candidate(f"{name}, {setting.token_merging} tokens merged", merging, setting, size)
    for program in _programs(folder) if setting.runs_programs else ():
        facts = candidate(f"{name}, {program.name}", smallest, setting, program.file.stat().st_size)
        yield replace(facts, run=program.load(program.file))
    sparse = load_stock(folder.path)
    if setting.runs_sparse_kernels and semi_structured.find_convertible(sparse).layers:
        yield candidate(f"{name}, 2:4", sparse, setting, size, sparse=True)


def _size(folder: ExportFolder) -> int | None:
    return folder.weights.stat().st_size if folder.weights.is_file() else None


@dataclass(frozen=True)
class Program:
    """An exported program, made from the smallest model.

    Attributes:
        name: Name in tables.
        file: The program.
        load: Makes a function from images to logits of the file.

    """

    name: str
    file: Path
    load: Callable[[Path], Callable[[Tensor], Tensor]]


def _programs(folder: ExportFolder) -> list[Program]:
    """Return the programs of an export that can run here."""
    programs = [Program(folder.pt2.name, folder.pt2, pt2.load)]
    if find_spec("onnxruntime"):
        programs.append(Program("ONNX Runtime", folder.onnx, onnx.Runtime))
    return [program for program in programs if program.file.is_file()]


def dense_of(folder: ExportFolder) -> PreTrainedModel:
    """Return the architecture that an export was pruned from, with random weights."""
    net = load_stock(folder.path)
    shrunk = RunReport.read(folder.report).shrunk if folder.report.is_file() else None
    if shrunk is None or not shrunk.settings_before:
        return net
    return net_from_config(with_settings(net.config, shrunk.settings_before))
