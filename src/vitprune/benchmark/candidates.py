"""The models that a benchmark compares: the dense one, and exports in each of their formats."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from transformers import PreTrainedModel

from vitprune.benchmark.backends import Timed, as_function
from vitprune.benchmark.setting import Setting
from vitprune.exports import semi_structured
from vitprune.exports.costs import count_flops, count_parameters
from vitprune.exports.formats.available import programs_in
from vitprune.exports.load import load_pruned, load_stock
from vitprune.model.anatomy.config import image_shape
from vitprune.model.anatomy.widths import with_settings
from vitprune.model.loading import net_from_config
from vitprune.model.token_merging import merge_tokens
from vitprune.runs.report import RunReport
from vitprune.runs.run_folder import ExportFolder


@dataclass(frozen=True)
class Candidate(Timed):
    """A model to measure.

    Attributes:
        name: Name in tables.
        flops: FLOPs of one image.
        parameters: Number of parameters.
        bytes: Size of the weights on disk; None if they are not on disk.
        accuracy: On the validation images, in [0, 1]; None if it is not known.

    """

    name: str
    flops: int
    parameters: int
    bytes: int | None
    accuracy: float | None = None


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
    converted = semi_structured.convert(net) if sparse else net
    model = as_function(converted, compiled=setting.compile)
    return Candidate(model, shape, name, flops, count_parameters(net), size)


def candidates_of(folder: ExportFolder, name: str, setting: Setting) -> Iterator[Candidate]:
    """Yield the model of an export, and each further format that can differ from it in speed.

    Their accuracies are those in the report of the export.
    """
    report = RunReport.read(folder.report) if folder.report.is_file() else None
    accuracy = report.pruned.accuracy if report else None
    stock, smallest = load_stock(folder.path), load_pruned(folder.path)
    size = _size(folder)
    yield replace(candidate(name, stock, setting, size), accuracy=accuracy)
    if count_parameters(smallest) < count_parameters(stock):
        found = candidate(f"{name}, load_pruned", smallest, setting, size)
        yield replace(found, accuracy=accuracy)
    if setting.token_merging:  # whose accuracy is not known
        merging = _merging(folder, setting.token_merging)
        yield candidate(f"{name}, {setting.token_merging} tokens merged", merging, setting, size)
    for program in programs_in(folder) if setting.runs_programs else ():
        written = report.formats.get(program.name) if report else None
        net = _merging(folder, written.token_merging) if written else smallest
        facts = candidate(f"{name}, {program.title}", net, setting, program.bytes(folder))
        measured = written.accuracy if written else None
        known = accuracy if measured is None else measured  # otherwise it has the same logits
        yield replace(facts, run=program.load_from(folder), accuracy=known)
    sparse = load_stock(folder.path)
    if setting.runs_sparse_kernels and semi_structured.find_convertible(sparse).layers:
        found = candidate(f"{name}, 2:4", sparse, setting, size, sparse=True)
        yield replace(found, accuracy=accuracy)


def _merging(folder: ExportFolder, tokens: int) -> PreTrainedModel:
    """Return the smallest model of an export, whose blocks merge tokens; 0 for none."""
    net = load_pruned(folder.path)
    if tokens:
        merge_tokens(net, tokens)
    return net


def _size(folder: ExportFolder) -> int | None:
    return folder.weights.stat().st_size if folder.weights.is_file() else None


def dense_candidate(folder: ExportFolder, setting: Setting) -> Candidate:
    """Return the dense model of an export: the time of its architecture, its size and accuracy."""
    dense = candidate("dense", dense_of(folder), setting, None)
    if not folder.report.is_file():
        return dense
    base = RunReport.read(folder.report).base
    return replace(dense, bytes=base.bytes, accuracy=base.accuracy)


def dense_of(folder: ExportFolder) -> PreTrainedModel:
    """Return the architecture that an export was pruned from, with random weights."""
    net = load_stock(folder.path)
    shrunk = RunReport.read(folder.report).shrunk if folder.report.is_file() else None
    if shrunk is None or not shrunk.settings_before:
        return net
    return net_from_config(with_settings(net.config, shrunk.settings_before))
