"""Images per second of our training loader against torchvision's `ImageFolder` and `DataLoader`.

    python -m scripts.bench.data_loading --images FOLDER [--num_workers 2] [--batch_size 64]
    [--repeats 5]

Same JPEG files, same number of workers, same transforms: random resized crop to 224 pixels,
horizontal flip, normalisation. The other loader comes as `ImageFolder` is documented (PIL, float
tensors from the workers) and in its fastest form (uint8 tensors until the crop is done). Ours
leaves flipping and normalisation to the device: it is timed as it delivers its batches (uint8, for
a GPU), and with both done by the main process, on a core that the workers share. The folder holds
one folder a class, or parquet files, whose first images are then written as files into a temporary
folder, byte for byte. The loaders take turns.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode, v2
from transformers import ViTImageProcessor

from vitprune.data import Augmentation, ImageData, Split
from vitprune.data.sources import load_source

MEAN = STD = [0.5, 0.5, 0.5]
SIZE = 224
CROP = {
    "size": SIZE,
    "scale": (0.25, 1.0),
    "interpolation": InterpolationMode.BILINEAR,
    "antialias": True,
}
NORMALISED = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
DOCUMENTED = v2.Compose(
    [v2.RandomResizedCrop(**CROP), v2.RandomHorizontalFlip(), v2.PILToTensor(), *NORMALISED]
)
FASTEST = v2.Compose(
    [v2.PILToTensor(), v2.RandomResizedCrop(**CROP), v2.RandomHorizontalFlip(), *NORMALISED]
)


def torchvision_loader(
    folder: Path, transform: Callable, options: argparse.Namespace
) -> Iterator[Tensor]:
    loader = DataLoader(
        ImageFolder(folder / "train", transform),
        options.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=options.num_workers,
        persistent_workers=options.num_workers > 0,
    )
    while True:
        for images, _ in loader:
            yield images


def our_loader(folder: Path, options: argparse.Namespace, on_cpu: bool) -> Iterator[Tensor]:
    processor = folder / "processor"
    ViTImageProcessor(
        size={"height": SIZE, "width": SIZE}, image_mean=MEAN, image_std=STD
    ).save_pretrained(processor)
    data = ImageData(
        str(folder),
        str(processor),
        batch_size=options.batch_size,
        num_workers=options.num_workers,
        augmentation=Augmentation(crop_scale=CROP["scale"]),
        split=Split(validation_fraction=0.01),
    )
    data.setup("fit")
    loader, epoch = data.train_dataloader(), 0
    while True:
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            batch = data.on_before_batch_transfer(batch, 0)
            yield (data.on_after_batch_transfer(batch, 0) if on_cpu else batch)["pixel_values"]
        epoch += 1


def write_files(source: str, folder: Path, count: int) -> None:
    """Write the first training images as files in class folders."""
    train = load_source(source)["train"]
    for number, row in enumerate(train.select(range(min(count, len(train))))):
        target = (
            folder / "train" / train.features["label"].names[row["label"]] / f"{number:05}.JPEG"
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(row["image"]["bytes"] or Path(row["image"]["path"]).read_bytes())


def images_per_s(batches: Iterator[Tensor], count: int) -> float:
    images, start = 0, time.perf_counter()
    for _ in range(count):
        batch = next(batches)
        assert batch.shape[1:] == (3, SIZE, SIZE)
        images += len(batch)
    return images / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", required=True)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--num_workers", type=int, default=2)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=20, help="in each turn of each loader")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    datasets.disable_progress_bars()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        write_files(options.images, Path(scratch), options.count)
        loaders = {
            "ours": our_loader(Path(scratch), options, on_cpu=False),
            "ours, normalised here": our_loader(Path(scratch), options, on_cpu=True),
            "ImageFolder": torchvision_loader(Path(scratch), DOCUMENTED, options),
            "ImageFolder, fastest": torchvision_loader(Path(scratch), FASTEST, options),
        }
        rates: dict[str, list[float]] = {name: [] for name in loaders}
        for repeat in range(options.repeats + 1):
            for name in list(loaders)[:: 1 if repeat % 2 else -1]:
                rate = images_per_s(loaders[name], options.batches)
                if repeat:  # the first turn warms up
                    rates[name].append(rate)
        for name, values in rates.items():
            ratios = [ours / theirs for ours, theirs in zip(rates["ours"], values, strict=True)]
            print(
                f"{name:22} {statistics.median(values):7.0f} images/s   ours: "
                f"{statistics.median(ratios):.2f} times that"
            )


if __name__ == "__main__":
    main()
