"""The settings of the data module."""

import re

import pytest
import torch

from tests.conftest import SHARED, needs_shared
from tests.data.files import module
from vitprune.data import Augmentation, ImageData, Split, Streaming
from vitprune.errors import UsageError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"num_workers": -1}, "num_workers must be at least 0, not -1"),
        ({"on_bad_image": "ignore"}, "'error' or 'skip'"),
    ],
)
def test_impossible_settings(options, message):
    with pytest.raises(UsageError, match=message):
        ImageData("digits", "digits", **options)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            lambda: Augmentation(crop_scale=(0.8, 0.2)),
            r"augmentation.crop_scale must be two ascending numbers in \(0, 1\], not \[0.8, 0.2\]",
        ),
        (
            lambda: Augmentation(random_erasing=1.5),
            r"augmentation.random_erasing must be a probability in \[0, 1\], not 1.5",
        ),
        (lambda: Augmentation(mixup=-1.0), "augmentation.mixup must be at least 0, not -1.0"),
        (lambda: Split(1.0), "split.validation_fraction must lie between 0 and 1, not 1.0"),
        (lambda: Streaming(0), "streaming.shuffle_buffer must be at least 1, not 0"),
    ],
)
def test_impossible_groups_of_settings(settings, message):
    with pytest.raises(UsageError, match=message):
        settings()


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (None, "predict_images must be a folder of images, an image file, a pattern such as"),
        ("none", "'none' is no folder and matches no images. Use a folder"),
        (["0.png", "*.txt"], "'*.txt' is no folder and matches no images"),
        (".", "'.' holds no image files"),
    ],
)
def test_predict_needs_images(tmp_path, processor, monkeypatch, places, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    if isinstance(places, list):
        (tmp_path / places[0]).write_bytes(b"")
    with pytest.raises(UsageError, match=re.escape(message)):
        _ = module(None, processor, predict_images=places).predict_files


@needs_shared
def test_imagenette():
    data = ImageData(
        str(SHARED / "imagenette"), str(SHARED / "models" / "deit-tiny-imagenette"), batch_size=8
    )
    data.setup("fit")
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 9469,
        "validation": 3925,
    }
    assert len(data.class_names) == 10
    batch = data.prepare(next(iter(data.val_dataloader())), torch.device("cpu"))
    assert batch["pixel_values"].shape == (8, 3, 224, 224)
