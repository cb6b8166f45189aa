"""Throughput of shrunk models, against the speed-up that their FLOPs predict.

    python -m scripts.bench.shrunk_speed --threads 2
    python -m scripts.bench.shrunk_speed --models vit-base vit-large --batch_size 256
    --device cuda --dtype bfloat16 --compile

Half of the heads and half of the MLP neurons are removed from models with random weights, for
images of 224 pixels. On a CPU the candidates are the dense model, the shrunk one, and the shrunk
one in ONNX Runtime and in OpenVINO, in float and in int8, as far as these are installed; on a GPU
dense, shrunk and 2:4. They take turns. Prints medians, and the ratio of the measured to the
predicted speed-up.
"""

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import PreTrainedModel

from scripts.bench.models import ARCHITECTURES, IMAGE_SHAPE, build
from vitprune.benchmark.candidates import Candidate, candidate
from vitprune.benchmark.results import print_speeds
from vitprune.benchmark.setting import Setting, describe_conditions
from vitprune.benchmark.speed import measure_speeds
from vitprune.exports import semi_structured
from vitprune.exports.choices import DTYPES
from vitprune.exports.exported import Exported
from vitprune.exports.formats.format import Run
from vitprune.exports.formats.onnx_int8 import ONNXInt8
from vitprune.exports.formats.openvino_int8 import OpenVINOInt8
from vitprune.exports.shrinking.shrink import shrink
from vitprune.exports.verify import logits
from vitprune.model.anatomy.layers import BLOCK_ROLES, find_layers
from vitprune.runs.run_folder import ExportFolder

CLASSES = 1000


def halve(net: PreTrainedModel) -> PreTrainedModel:
    """Zero half of the heads of the model and half of the neurons of each block, and shrink it."""
    for layer in find_layers(net):
        if layer.role == "mlp_out":
            layer.weight.data[:, : layer.shape[1] // 2] = 0
        elif layer.role == "attn_out" and layer.heads and layer.block is not None:
            heads = (layer.heads + layer.block % 2) // 2  # with three heads: one and two in turn
            layer.weight.data[:, : heads * layer.shape[1] // layer.heads] = 0
    return shrink(net, ragged=True)


def prune_two_of_four(net: PreTrainedModel) -> PreTrainedModel:
    """Zero the two smallest of every four consecutive inputs, in place."""
    for layer in find_layers(net):
        if layer.role in BLOCK_ROLES:
            groups = layer.weight.data.view(len(layer.weight), -1, 4)
            groups.scatter_(-1, groups.abs().topk(2, dim=-1, largest=False).indices, 0)
    return net


def programs(net: PreTrainedModel, folder: Path) -> Iterator[tuple[str, Run, int]]:
    """Yield the name, the function and the size of each program of a model."""
    images = torch.randn(16, *IMAGE_SHAPE)
    exported = Exported(net, net, images[:2], logits(net, images[:2]), ExportFolder(folder))
    for int8 in (ONNXInt8(), OpenVINOInt8()):
        source = int8.source
        if not all(find_spec(package) for package in source.packages):
            continue
        source.write(exported)
        yield source.title, source.load_from(exported.folder), source.bytes(exported.folder)
        for method in int8.methods:
            target = ExportFolder(folder / f"{int8.name}_{method}")
            target.path.mkdir()
            int8.quantize(method, source.files(exported.folder)[0], images, target)
            yield f"{int8.title} {method}", int8.load_from(target), int8.bytes(target)


def candidates(name: str, setting: Setting, folder: Path) -> Iterator[Candidate]:
    """Yield the dense model and what is compared with it."""
    yield candidate(f"{name}, dense", build(name, CLASSES), setting, None)
    small = halve(build(name, CLASSES))
    shrunk = candidate(f"{name}, shrunk", small, setting, None)
    yield shrunk
    if setting.device == "cpu":
        for title, run, size in programs(small, folder):
            yield replace(shrunk, name=f"{name}, shrunk, {title}", run=run, bytes=size)
    elif setting.runs_sparse_kernels:
        sparse = prune_two_of_four(build(name, CLASSES))
        yield candidate(f"{name}, 2:4", sparse, setting, None, sparse=True)
    else:
        print(f"2:4 is not measured: {semi_structured.missing_gpu() or 'float32'}")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models",
        nargs="+",
        choices=ARCHITECTURES,
        default=["deit-tiny", "vit-base"],
        help="architectures (default: %(default)s)",
    )
    parser.add_argument(
        "--batch_size",
        type=int,
        default=16,
        help="batch size for throughput; latency is measured at batch size 1 (default: "
        "%(default)s)",
    )
    parser.add_argument("--repeats", type=int, default=9, help="rounds (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads (default: %(default)s)")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="device (default: %(default)s)"
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="precision (default: %(default)s)"
    )
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(options.threads)
    setting = Setting(options.device, DTYPES[options.dtype], options.compile)
    conditions = describe_conditions(setting, options.batch_size, options.repeats)
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            models = list(candidates(name, setting, Path(folder)))
            speeds = measure_speeds(models, options.batch_size, options.repeats, options.device)
        print_speeds(speeds, conditions)
        for speed in speeds[1:]:
            ratio = speed.measured_speedup / speed.theoretical_speedup
            print(f"{speed.name}: {ratio:.3f} of the predicted speed-up")


if __name__ == "__main__":
    main()
