"""Fast: images from the training loader, on all cores."""

import io
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torchvision.transforms.v2.functional import to_pil_image

from scripts.bench.on_gpu.figures import Figure
from scripts.bench.on_gpu.scale import Scale

HEIGHT = 375  # pixels, as most images of ImageNet
WIDTH = 500


def loader(scale: Scale) -> Iterator[Figure]:
    """Measure the loader on JPEG files; needs `datasets`."""
    from scripts.bench.image_loaders import LoaderSettings, our_batches

    workers = len(os.sched_getaffinity(0))
    size = 8 if scale.quick else 64
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_images(folder, 4 * size if scale.quick else 2000)
        batches = our_batches(LoaderSettings(folder, size, workers), on_cpu=False)
        for _ in range(2 * workers):
            next(batches)
        count = 4 if scale.quick else 200
        start = time.perf_counter()
        images = sum(len(next(batches)) for _ in range(count))
        rate = images / (time.perf_counter() - start)
    yield Figure(f"training loader, {workers} workers", rate, "images/s")


def _write_images(folder: Path, count: int) -> None:
    """Write JPEG files of two classes: colours that change smoothly, with some noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(8, 3, 12, 16, generator=generator)
    smooth = F.interpolate(coarse, (HEIGHT, WIDTH), mode="bicubic").clamp(0, 1)
    noise = torch.rand(8, 3, HEIGHT, WIDTH, generator=generator)
    encoded = []
    for picture in 0.85 * smooth + 0.15 * noise:
        file = io.BytesIO()
        to_pil_image(picture).save(file, "JPEG", quality=90)
        encoded.append(file.getvalue())
    for number in range(count):
        target = folder / "train" / f"class{number % 2}" / f"{number:05}.jpeg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encoded[number % len(encoded)])
