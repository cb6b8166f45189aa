"""Images per second of our training loader, against torchvision's.

    python -m scripts.bench.data_loading --images FOLDER [--num_workers 2] [--batch_size 64]
    [--repeats 5]

All loaders read the same JPEG files with the same number of workers and transforms: random resized
crop to 224 pixels, horizontal flip, normalisation. torchvision's `ImageFolder` and `DataLoader` are
measured as documented (PIL, float tensors from the workers) and in their fastest form (uint8
tensors until the crop is done). Our loader leaves flipping and normalisation to the device. It is
measured as it delivers batches (uint8, for a GPU), and with both done in the main process, on a
core that the workers share. FOLDER has a folder for each class, or parquet files, whose first
images are then written to a temporary folder, byte for byte. The loaders take turns.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import datasets
import torch
from torch import Tensor

from scripts.bench.image_loaders import (
    DOCUMENTED,
    FASTEST,
    SIZE,
    LoaderSettings,
    our_batches,
    torchvision_batches,
)
from scripts.bench.interleaved import interleave
from vitprune.data.sources import load_source


def write_files(source: str, folder: Path, count: int) -> None:
    """Write the first training images as files in class folders."""
    train = load_source(source)["train"]
    names = train.features["label"].names
    for number, row in enumerate(train.select(range(min(count, len(train))))):
        target = folder / "train" / names[row["label"]] / f"{number:05}.JPEG"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(row["image"]["bytes"] or Path(row["image"]["path"]).read_bytes())


def images_per_s(batches: Iterator[Tensor], count: int) -> float:
    """Return the rate of the next batches."""
    images = 0
    start = time.perf_counter()
    for _ in range(count):
        batch = next(batches)
        if batch.shape[1:] != (3, SIZE, SIZE):
            raise RuntimeError(f"A batch has the shape {tuple(batch.shape)}.")
        images += len(batch)
    return images / (time.perf_counter() - start)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", required=True, help="folder of the images")
    parser.add_argument(
        "--count", type=int, default=3000, help="images to use (default: %(default)s)"
    )
    parser.add_argument(
        "--num_workers", type=int, default=2, help="workers of a loader (default: %(default)s)"
    )
    parser.add_argument(
        "--batch_size", type=int, default=64, help="images in a batch (default: %(default)s)"
    )
    parser.add_argument(
        "--batches", type=int, default=20, help="batches in a turn (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="turns of each loader (default: %(default)s)"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    datasets.disable_progress_bars()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        settings = LoaderSettings(Path(scratch), options.batch_size, options.num_workers)
        write_files(options.images, settings.folder, options.count)
        loaders = {
            "ours": our_batches(settings, on_cpu=False),
            "ours, normalised on CPU": our_batches(settings, on_cpu=True),
            "ImageFolder": torchvision_batches(settings, DOCUMENTED),
            "ImageFolder, fastest": torchvision_batches(settings, FASTEST),
        }
        rates = interleave(
            {
                name: partial(images_per_s, batches, options.batches)
                for name, batches in loaders.items()
            },
            options.repeats,
        )
    for name in loaders:
        ratio = rates.ratio("ours", name)
        print(f"{name:24} {rates.median(name):7.0f} images/s   ours: {ratio.median:.2f} times that")


if __name__ == "__main__":
    main()
