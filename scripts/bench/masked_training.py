"""Time and memory of a fine-tuning step with masks, against a dense step.

    python -m scripts.bench.masked_training [--pretrained FOLDER] [--batch_size 16] [--steps 20]

A dense model, one whose zeros are trained, and one with masks train on the same batch in one
process and take turns. Peak memory is that of
new processes that train for three steps. Without a folder the model is DeiT-Tiny with random
weights.
"""

import argparse
import statistics
from functools import partial

import torch
from torch import Tensor, nn

from scripts.bench import memory
from scripts.bench.interleaved import interleave, seconds
from scripts.bench.models import load_or_build, random_batch
from vitprune.pruning import LayerSelection, Masks, Method
from vitprune.pruning.update import update_masks

MODES = ("dense", "pruned", "masked")
SPARSITY = 0.8
WARM_UP = 2
PROCESSES = 3  # for the median of the peak memory


class Training:
    """A model that trains on one batch.

    Args:
        pretrained: Folder of the model, or None for random weights.
        mode: `dense`, `pruned` (with zeros that are trained) or `masked`.
        batch: Images and labels.

    """

    def __init__(self, pretrained: str | None, mode: str, batch: tuple[Tensor, Tensor]) -> None:
        self.net = load_or_build(pretrained, "deit-tiny").train()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-5)
        self.masks = Masks([])
        if mode != "dense":
            masks = Masks(LayerSelection().select(self.net))
            update_masks(masks, Method(), SPARSITY)
        if mode == "masked":
            masks.enforce(self.optimizer)
            self.masks = masks
        self.images, self.labels = batch

    def step(self) -> None:
        """Train for one step."""
        self.masks.apply()
        logits = self.net(pixel_values=self.images).logits
        nn.functional.cross_entropy(logits, self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def peak_of_training(pretrained: str | None, mode: str, batch_size: int) -> int:
    """Return the peak memory of this process in bytes, after three steps."""
    training = Training(pretrained, mode, random_batch(batch_size))
    for _ in range(3):
        training.step()
    return memory.peak_bytes()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pretrained", help="folder of a model (default: random weights)")
    parser.add_argument(
        "--batch_size", type=int, default=16, help="images in a step (default: %(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, default=20, help="steps of each model (default: %(default)s)"
    )
    options = parser.parse_args()

    batch = random_batch(options.batch_size)
    trainings = {mode: Training(options.pretrained, mode, batch) for mode in MODES}
    dense = trainings["dense"].net
    weights = sum(layer.weight.numel() for layer in LayerSelection().select(dense))
    times = interleave(
        {mode: partial(seconds, training.step) for mode, training in trainings.items()},
        options.steps,
        WARM_UP,
    )
    for mode in MODES:
        print(f"{mode:8} {times.median(mode):.3f} s a step, batch size {options.batch_size}")
    for other in ("dense", "pruned"):
        print(f"ratio    {times.ratio('masked', other)} masked / {other}")

    peaks = {
        mode: statistics.median(
            memory.in_new_process(peak_of_training, options.pretrained, mode, options.batch_size)
            for _ in range(PROCESSES)
        )
        for mode in ("dense", "masked")
    }
    extra = peaks["masked"] - peaks["dense"]
    allowed = 1.1 * (4 + 1) * weights
    print(f"memory   dense peak {peaks['dense'] / 2**20:.0f} MiB, masked + {extra / 2**20:.1f} MiB")
    print(f"         allowed: 1.1 x (weights + a byte a weight) = {allowed / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
