"""Sources that are read while training."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageFeature

from tests.data.shards import ROWS, SHARDS, epoch, flat, png, streamed
from vitprune.data import Columns
from vitprune.errors import UsageError


def test_webdataset_tars(tmp_path):
    for split in ("train", "validation"):
        for shard in range(2):
            with tarfile.open(tmp_path / f"{split}-{shard}.tar", "w") as tar:
                for number in range(shard * 12, shard * 12 + 12):
                    for suffix, content in (
                        ("png", png(number)),
                        ("cls", str(number % 2).encode()),
                    ):
                        entry = tarfile.TarInfo(f"{number:04}.{suffix}")
                        entry.size = len(content)
                        tar.addfile(entry, io.BytesIO(content))
    with pytest.raises(UsageError, match="number of images of the train split .* is unknown"):
        streamed(str(tmp_path)).setup("fit")
    counts = {"train": 24, "validation": 24}
    with pytest.raises(UsageError, match="Set data.columns.class_names"):
        streamed(str(tmp_path), max_images=counts).setup("fit")
    data = streamed(
        str(tmp_path),
        max_images=counts,
        columns=Columns(class_names=["even", "odd"]),
        num_workers=2,
    )
    data.setup("fit")
    assert sorted(flat(epoch(data, data.train_dataloader()))) == list(range(24))
    assert flat(epoch(data, data.val_dataloader())) == list(range(24))


def test_criteria_learn_from_the_first_images_of_a_stream(shards):
    data = streamed(shards)
    data.setup("fit")
    images = data.calibration_dataloader().dataset
    assert len(images) == SHARDS * ROWS
    assert int(images[5]["pixel_values"][0, 0, 0]) == 5


def test_a_stream_needs_a_validation_split(tmp_path, shards):
    shutil.copy(next(Path(shards).glob("train-*")), tmp_path / "train-0.parquet")
    with pytest.raises(UsageError, match="needs a train and a validation split"):
        streamed(str(tmp_path)).setup("fit")


def test_images_of_a_stream_are_decoded_by_the_loader_alone(tmp_path):
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=["even", "odd"])})
    contents = [png(0), b"torn", png(2), png(3)]
    rows = {"image": [{"bytes": c, "path": None} for c in contents], "label": [0, 1, 0, 1]}
    for split in ("train", "validation"):
        Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"{split}.parquet")
    stream = streamed(str(tmp_path)).splits["train"]
    assert [row["image"]["bytes"] for row in stream.rows] == contents
    data = streamed(str(tmp_path), on_bad_image="skip")
    assert flat(epoch(data, data.val_dataloader())) == [0, 2, 3]
    data = streamed(str(tmp_path))
    with pytest.raises(UsageError, match="validation split is not a readable image"):
        epoch(data, data.val_dataloader())
