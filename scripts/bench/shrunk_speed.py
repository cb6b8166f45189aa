"""Half of the heads and half of the MLP neurons dropped: measured throughput against what the FLOPs
promise.

    python scripts/bench/shrunk_speed.py --threads 2 python scripts/bench/shrunk_speed.py --models
    vit-base vit-large --device cuda --dtype bfloat16 --compile --batch_size 256

Random weights, 224 px. Dense, shrunk and ONNX Runtime of the shrunk model run in turns, on a GPU
dense, shrunk and 2:4. Prints medians, and for each model the share of the theoretical speed-up that
was measured.
"""

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedModel, ViTConfig, ViTForImageClassification

from vitprune.benchmark.candidates import Candidate, candidate
from vitprune.benchmark.results import print_speeds
from vitprune.benchmark.setting import Setting, describe_conditions
from vitprune.benchmark.speed import measure_speeds
from vitprune.export import onnx, semi_structured
from vitprune.export.choices import DTYPES
from vitprune.export.exported import Exported
from vitprune.export.shrink import shrink
from vitprune.export.verify import logits
from vitprune.model.anatomy.blocks import find_blocks, read_widths
from vitprune.runs.run_folder import ExportFolder

MODELS = {
    "deit-tiny": {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768},
    "vit-base": {},
    "vit-large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
}


def build(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return ViTForImageClassification(ViTConfig(num_labels=1000, **MODELS[name])).eval()


def halve(net: PreTrainedModel) -> PreTrainedModel:
    """Zero half of the heads of the whole model, and half of the neurons of each block, and drop them."""
    widths = read_widths(net.config)
    for index, block in enumerate(find_blocks(net)):
        heads = (widths.heads + index % 2) // 2  # of three heads one and two in turn
        block.linear["attn_out"].weight.data[:, : heads * widths.head_dim] = 0
        block.linear["mlp_out"].weight.data[:, : widths.neurons // 2] = 0
    return shrink(net, ragged=True)


def two_of_four(net: PreTrainedModel) -> PreTrainedModel:
    for block in find_blocks(net):
        for module in block.linear.values():
            groups = module.weight.data.view(len(module.weight), -1, 4)
            groups.scatter_(-1, groups.abs().topk(2, dim=-1, largest=False).indices, 0)
    return net


def candidates(name: str, setting: Setting, folder: Path) -> Iterator[Candidate]:
    yield candidate(f"{name}, dense", build(name), setting, None)
    small = halve(build(name))
    if setting.device == "cpu":
        images = torch.randn(2, 3, 224, 224)
        onnx.write(Exported(small, small, images, logits(small, images), ExportFolder(folder)))
    shrunk = candidate(f"{name}, shrunk", small, setting, None)
    yield shrunk
    if setting.device == "cpu":
        yield replace(
            shrunk,
            name=f"{name}, shrunk, ONNX Runtime",
            run=onnx.Runtime(ExportFolder(folder).onnx),
        )
    elif setting.runs_sparse_kernels:
        yield candidate(f"{name}, 2:4", two_of_four(build(name)), setting, None, sparse=True)
    else:
        print(f"no 2:4: {semi_structured.missing_gpu() or 'float32'}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["deit-tiny", "vit-base"])
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(options.threads)
    setting = Setting(options.device, DTYPES[options.dtype], options.compile)
    conditions = describe_conditions(setting, options.batch_size, options.repeats)
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            speeds = measure_speeds(
                list(candidates(name, setting, Path(folder))),
                options.batch_size,
                options.repeats,
                options.device,
            )
        print_speeds(speeds, conditions)
        for speed in speeds[1:]:
            print(
                f"{speed.name}: {speed.measured_speedup / speed.theoretical_speedup:.3f} of the "
                "theoretical speed-up"
            )


if __name__ == "__main__":
    main()
