"""Folders of tables, and of images with a metadata file: their splits."""

import gc
import json
import shutil

import pytest
from datasets import ClassLabel

from tests.data.files import parquet, picture
from vitprune.data import Columns
from vitprune.data.sources import load_source
from vitprune.data.streaming import load_streams
from vitprune.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
LABELS = ClassLabel(names=["a", "b"])


@pytest.fixture(autouse=True)
def _closed():
    """Close within the test what `datasets` leaves open: the first rows of each metadata.csv."""
    yield
    gc.collect()


def tables(root, **rows):
    """Write a table for each name, with so many rows."""
    root.mkdir()
    for number, (name, count) in enumerate(rows.items()):
        source = parquet(root.parent / f"{number}", [0, 1] * (count // 2), LABELS)
        target = root / f"{name.replace('__', '/')}.parquet"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(f"{source}/train-0-of-1.parquet", target)
    return str(root)


def metadata(folder, labels, suffix="csv"):
    folder.mkdir(parents=True)
    for number in range(len(labels)):
        picture((8, 8)).save(folder / f"{number}.png")
    rows = [{"file_name": f"{number}.png", "label": label} for number, label in enumerate(labels)]
    if suffix == "csv":
        lines = ["file_name,label", *(f'{row["file_name"]},"{row["label"]}"' for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    (folder / f"metadata.{suffix}").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "names",
    [
        ("train", "validation"),
        ("Train-0", "Val-0"),
        ("TRAIN__0", "DEV__0"),
        ("trainset", "validate"),
        ("data__train-00000-of-00001", "data__validation-00000-of-00001"),
    ],
    ids=lambda names: names[0],
)
@pytest.mark.parametrize("folder", ["plain", "tables [1]"])
def test_tables_are_of_the_split_that_they_name(tmp_path, names, folder):
    source = tables(tmp_path / folder, **dict(zip(names, (8, 4), strict=True)))
    for splits in (load_source(source), load_streams(source, Columns(), {})):
        assert {name: len(rows) for name, rows in splits.items()} == {"train": 8, "validation": 4}


@pytest.mark.parametrize("name", ["trainval", "train_test", "fold1"])
def test_a_table_that_could_be_several_splits_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match=f"'{name}' .* does not say which"):
        load_source(tables(tmp_path / "tables", **{name: 4, "test": 4}))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("names", [("train", "val"), ("Train", "Val"), ("x/Training", "x/Valid")])
def test_metadata_of_each_split(tmp_path, names, suffix):
    for name, labels in zip(names, (["a", "b"] * 3, ["b", "a"]), strict=True):
        metadata(tmp_path / "[1]" / name, labels, suffix)
    splits = load_source(str(tmp_path / "[1]"))
    assert splits["train"]["label"] == [0, 1] * 3
    assert splits["validation"]["label"] == [1, 0]


def test_metadata_of_all_splits_together_are_refused(tmp_path):
    metadata(tmp_path / "data", ["a", "b"])
    for split in ("Train", "Val"):
        (tmp_path / "data" / split).mkdir()
        picture().save(tmp_path / "data" / split / "0.png")
    with pytest.raises(UsageError, match="'Train' .* has no metadata file of its own"):
        load_source(str(tmp_path / "data"))


def test_names_of_images_may_not_be_splits(tmp_path):
    metadata(tmp_path / "data", ["a", "b"])
    (tmp_path / "data" / "0.png").rename(tmp_path / "data" / "train_0.png")
    (tmp_path / "data" / "1.png").rename(tmp_path / "data" / "test_1.png")
    with pytest.raises(UsageError, match="names of the images .* are those of several splits"):
        load_source(str(tmp_path / "data"))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_lists_of_labels_in_metadata_are_refused(tmp_path, suffix):
    label = '[""cat"", ""dog""]' if suffix == "csv" else ["cat", "dog"]
    metadata(tmp_path / "data", [label] * 4, suffix)
    with pytest.raises(UsageError, match="multi-label data, which are not supported"):
        load_source(str(tmp_path / "data"))
