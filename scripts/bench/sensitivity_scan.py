"""A sensitivity scan that reuses what precedes the pruned layer, against the naive scan.

    python -m scripts.bench.sensitivity_scan [--pretrained FOLDER] [--images 8] [--pairs 3]
    [--sparsity 0.5]

Every prunable layer is pruned alone, at one sparsity. The naive scan runs the whole model each
time. Both scans take turns and must give the same accuracies. Without a folder the model is
DeiT-Tiny with random weights, on random images.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lightning import Fabric
from torch import nn

from scripts.bench.interleaved import interleave, seconds
from scripts.bench.models import load_or_build, random_batch
from vitprune.evaluation.grouping import group_layers
from vitprune.evaluation.journal import Journal
from vitprune.evaluation.measure import measure
from vitprune.evaluation.measurement import Outcome
from vitprune.evaluation.replay import Batch
from vitprune.evaluation.sensitivity import plan
from vitprune.pruning import LayerSelection, Method


class RandomImages:
    """One batch of random images, in place of validation batches."""

    chunks = 1

    def __init__(self, images: int) -> None:
        self.batch = Batch(*random_batch(images))

    def in_chunks(self) -> Iterator[list[Batch]]:
        """Yield the batch."""
        yield [self.batch]


class Scan:
    """A scan of all prunable layers.

    Args:
        net: The model.
        images: The images.
        sparsity: Sparsity of the pruned layer.
        reuse: Whether to reuse what precedes the pruned layer.

    """

    def __init__(
        self, net: nn.Module, images: RandomImages, sparsity: float, *, reuse: bool
    ) -> None:
        self.net = net
        self.images = images
        self.sparsity = sparsity
        self.reuse = reuse
        self.scores: dict[str, Outcome] = {}

    def run(self) -> float:
        """Scan the model and return the seconds it takes."""
        method = Method()
        groups = group_layers(LayerSelection().select(self.net), "layer", method.granularity)
        measurements = list(plan(groups, [self.sparsity], method, 0).values())
        with tempfile.TemporaryDirectory() as folder:
            return seconds(lambda: self._measure(measurements, Path(folder)))

    def _measure(self, measurements: list, folder: Path) -> None:
        self.scores = measure(
            self.net,
            measurements,
            self.images,
            Journal(folder),
            Fabric(accelerator="cpu"),
            reuse_prefix=self.reuse,
        )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pretrained", help="folder of a model (default: random weights)")
    parser.add_argument(
        "--images", type=int, default=8, help="random images (default: %(default)s)"
    )
    parser.add_argument(
        "--pairs", type=int, default=3, help="scans of each kind (default: %(default)s)"
    )
    parser.add_argument(
        "--sparsity",
        type=float,
        default=0.5,
        help="sparsity of the pruned layer (default: %(default)s)",
    )
    options = parser.parse_args()

    net = load_or_build(options.pretrained, "deit-tiny")
    Scan(net, RandomImages(1), options.sparsity, reuse=True).run()  # the warm-up
    images = RandomImages(options.images)
    naive = Scan(net, images, options.sparsity, reuse=False)
    reusing = Scan(net, images, options.sparsity, reuse=True)
    scans = {"naive": naive, "reusing": reusing}
    times = interleave({name: scan.run for name, scan in scans.items()}, options.pairs, warm_up=0)
    if naive.scores != reusing.scores:
        raise SystemExit("The two scans give different accuracies.")
    layers = len(naive.scores) - 1  # one is the dense model
    for name in scans:
        print(f"{name:8} {times.median(name):.1f} s, {layers} layers, {options.images} images")
    print(f"ratio    {times.ratio('naive', 'reusing')}")


if __name__ == "__main__":
    main()
