"""A sensitivity scan that reuses what comes before the pruned layer, against the naive scan that
runs the whole model.

    python -m scripts.bench.sensitivity_scan [--pretrained FOLDER] [--images 8] [--pairs 3]
    [--sparsity 0.5]

Every prunable layer of DeiT-Tiny on its own, at one sparsity. Both scans alternate, in turn first,
after a warm-up, and must give the same scores. Without a folder: DeiT-Tiny with random weights,
random images.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from lightning import Fabric
from transformers import AutoModelForImageClassification, ViTConfig, ViTForImageClassification

from vitprune.evaluation.journal import Journal
from vitprune.evaluation.measure import measure
from vitprune.evaluation.measurement import Outcome
from vitprune.evaluation.replay import Batch
from vitprune.evaluation.sensitivity import group_layers, plan
from vitprune.pruning import LayerSelection, Method

TINY = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}


class RandomImages:
    """One batch of noise."""

    chunks = 1

    def __init__(self, images: int) -> None:
        self.batch = Batch(torch.randn(images, 3, 224, 224), torch.randint(0, 10, (images,)))

    def in_chunks(self) -> Iterator[list[Batch]]:
        yield [self.batch]


def scan(
    net: torch.nn.Module, images: RandomImages, sparsity: float, reuse: bool
) -> tuple[float, dict[str, Outcome]]:
    method = Method()
    layers = LayerSelection().select(net)
    measurements = list(
        plan(group_layers(layers, "layer", method.granularity), [sparsity], method, 0).values()
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        scores = measure(
            net,
            measurements,
            images,
            Journal(Path(folder)),
            Fabric(accelerator="cpu"),
            reuse_prefix=reuse,
        )
        return time.perf_counter() - start, scores


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pretrained")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--sparsity", type=float, default=0.5)
    options = parser.parse_args()

    torch.manual_seed(0)
    net = (
        AutoModelForImageClassification.from_pretrained(options.pretrained)
        if options.pretrained
        else None
    )
    net = (net or ViTForImageClassification(ViTConfig(num_labels=10, **TINY))).eval()
    scan(net, RandomImages(1), options.sparsity, reuse=True)
    images = RandomImages(options.images)
    times: dict[bool, list[float]] = {False: [], True: []}
    for pair in range(options.pairs):
        scores = {}
        for reuse in (False, True) if pair % 2 else (True, False):
            elapsed, scores[reuse] = scan(net, images, options.sparsity, reuse)
            times[reuse].append(elapsed)
        assert scores[False] == scores[True], "the scans differ"
    ratios = [naive / quick for naive, quick in zip(times[False], times[True], strict=True)]
    for reuse, name in ((False, "naive"), (True, "reusing")):
        print(
            f"{name:8} {statistics.median(times[reuse]):.1f} s, {len(scores[True]) - 1} layers, "
            f"{options.images} images"
        )
    print(
        f"ratio    {statistics.median(ratios):.2f} (median of {len(ratios)}; {min(ratios):.2f} to "
        f"{max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
