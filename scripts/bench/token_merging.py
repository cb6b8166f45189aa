"""Accuracy, FLOPs and throughput of a ViT or DeiT that merges tokens, without fine-tuning.

    python -m scripts.bench.token_merging --pretrained FOLDER --source FOLDER

Each number of merged tokens is evaluated on the same validation images. For throughput, the numbers
take turns on random images; ratios are to the model without merging. Prints a table.
"""

import argparse
import warnings
from collections.abc import Callable

import torch
from transformers import PreTrainedModel

from scripts.bench.interleaved import interleave, seconds
from scripts.bench.models import load_or_build, random_batch
from vitprune.data import ImageData
from vitprune.exports.costs import count_flops
from vitprune.model.anatomy.config import image_shape
from vitprune.model.logits import Logits
from vitprune.model.token_merging import merge_tokens
from vitprune.training.evaluate import evaluate


def build(pretrained: str, merged: int) -> PreTrainedModel:
    """Return a model of which each block merges this number of tokens."""
    net = load_or_build(pretrained, "deit-tiny")
    if merged:
        merge_tokens(net, merged)
    return net


def timed(net: PreTrainedModel, images: torch.Tensor) -> Callable[[], float]:
    """Return a function that computes a batch and returns the images per second."""

    @torch.inference_mode()
    def run() -> float:
        return len(images) / seconds(lambda: net(pixel_values=images))

    return run


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pretrained", required=True, help="folder of the model")
    parser.add_argument("--source", required=True, help="data set with its classes")
    parser.add_argument(
        "--merged",
        type=int,
        nargs="+",
        default=[0, 4, 8, 13],
        help="tokens that each block merges (default: %(default)s)",
    )
    parser.add_argument("--images", type=int, help="validation images (default: all)")
    parser.add_argument(
        "--batch_size", type=int, default=32, help="batch size (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=7, help="rounds (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads (default: %(default)s)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(options.threads)
    data = ImageData(
        options.source,
        options.pretrained,
        batch_size=options.batch_size,
        num_workers=0,
        max_images={"validation": options.images} if options.images else None,
    )
    cpu = torch.device("cpu")
    nets = {merged: build(options.pretrained, merged) for merged in options.merged}
    images, _ = random_batch(options.batch_size)
    speeds = interleave(
        {str(merged): timed(net, images) for merged, net in nets.items()}, options.repeats
    )
    print("merged  GFLOPs  accuracy  images/s  speed-up")
    for merged, net in nets.items():
        flops = count_flops(net, image_shape(net.config))
        found = evaluate(Logits(net), data.validation_batches(cpu))
        ratio = speeds.ratio(str(merged), str(options.merged[0]))
        print(
            f"{merged:6}  {flops / 1e9:6.3f}  {found.accuracy:8.2%}  "
            f"{speeds.median(str(merged)):8.1f}  {ratio}"
        )


if __name__ == "__main__":
    main()
