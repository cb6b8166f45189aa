"""Sources become splits with images and labels."""

import shutil
import zipfile

import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature

from tests.data.files import module, parquet, picture
from vitprune.data import Split, Streaming
from vitprune.data.sources import load_source
from vitprune.errors import UsageError


def test_digits_are_split_once_and_for_all():
    splits = load_source("digits")
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 1197,
        "validation": 300,
        "test": 300,
    }
    seen = [
        row["image"]["bytes"] + bytes([row["label"]]) for split in splits.values() for row in split
    ]
    assert len(seen) == 1797
    assert load_source("digits", split=Split(seed=7))["test"]["label"] == splits["test"]["label"]


def test_an_image_folder(image_folder, capsys):
    splits = load_source(str(image_folder), split=Split(0.25))
    assert splits["train"].features["label"].names == ["cat", "dog"]
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 13,
        "validation": 5,
    }
    again = load_source(str(image_folder), split=Split(0.25))
    assert splits["validation"]["image"] == again["validation"]["image"]
    paths = [row["image"]["path"] for split in splits.values() for row in split]
    assert len(set(paths)) == 18


@pytest.mark.parametrize(
    ("splits", "classes", "files"),
    [
        (["train", "test"], ["apple", "bear", "train"], "1.png"),  # as CIFAR-100 has them
        (["training", "val"], ["bullet_train", "cat", "test_tube"], "1.png"),
        ([], ["bullet_train", "cat", "dog", "test"], "1.png"),
        ([], ["cat", "dog"], "ILSVRC2012_val_1.png"),
    ],
)
def test_folders_at_the_top_alone_say_what_a_split_is(tmp_path, splits, classes, files):
    for index, name in enumerate(classes):
        for split in splits or ["."]:
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for copy in range(4):
                picture(seed=index).save(tmp_path / "data" / split / name / f"{copy}{files}")
    loaded = load_source(str(tmp_path / "data"), split=Split(0.25))
    assert loaded["train"].features["label"].names == classes
    paths = {split: [row["image"]["path"] for row in rows] for split, rows in loaded.items()}
    assert (
        sum(map(len, paths.values()))
        == len(set().union(*paths.values()))
        == 4 * len(classes) * max(1, len(splits))
    )
    assert set(paths) == {"train", "validation", *(["test"] if "test" in splits else [])}


@pytest.mark.parametrize("kind", ["Image", "struct", "binary"])
def test_a_folder_of_parquet_files(tmp_path, image_folder, kind):
    (tmp_path / "parquet").mkdir()
    data = [(image_folder / "train" / "cat" / f"{i}.jpg").read_bytes() for i in (0, 1, 5)]
    column = {
        "Image": ([{"bytes": d, "path": None} for d in data], ImageFeature()),
        "struct": (
            [{"bytes": d, "path": None} for d in data],
            {"bytes": Value("binary"), "path": Value("string")},
        ),
        "binary": (data, Value("binary")),
    }[kind]
    features = Features({"photo": column[1], "class": Value("string")})
    for split in ("train", "validation"):
        table = Dataset.from_dict({"photo": column[0], "class": ["b", "a", "b"]}, features=features)
        table.to_parquet(tmp_path / "parquet" / f"{split}-00000-of-00001.parquet")
    splits = load_source(str(tmp_path / "parquet"))
    assert splits["train"].features["label"].names == ["a", "b"]
    assert splits["validation"]["label"] == [1, 0, 1]
    assert splits["train"][1]["image"]["bytes"] == data[1]


@pytest.mark.parametrize("streaming", [None, Streaming()])
def test_one_of_several_configurations(tmp_path, processor, streaming):
    configs = [
        {
            "config_name": name,
            "data_files": [{"split": s, "path": f"{name}/{s}-*"} for s in ("train", "validation")],
        }
        for name in ("large", "small")
    ]
    (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n")
    for name, images in (("large", 4), ("small", 2)):
        source = parquet(tmp_path / name, [0, 1] * (images // 2), ClassLabel(names=["a", "b"]))
        shutil.copy(
            tmp_path / name / "train-0-of-1.parquet",
            tmp_path / name / "validation-0-of-1.parquet",
        )
    splits = module(tmp_path, processor, subset="small", streaming=streaming).splits
    assert len(splits["train"]) == len(splits["validation"]) == 2
    assert (
        len(module(source, processor, subset="large", streaming=streaming).splits["train"]) == 2
    )  # it has none
    for wrong in (None, "middle"):
        with pytest.raises(
            UsageError,
            match=rf"data.subset must be one of .* \['large', 'small'\], not {wrong!r}",
        ):
            _ = module(tmp_path, processor, subset=wrong, streaming=streaming).splits


def test_a_missing_folder_and_an_empty_one(tmp_path):
    with pytest.raises(UsageError, match="is not a folder"):
        load_source(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="no readable images; it holds no files. Valid are"):
        load_source(str(tmp_path))


def test_files_that_cannot_hold_images_are_counted(tmp_path):
    for name in ("a.txt", "b.TXT", "labels.csv", "c.heic", "LICENSE"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="2 .txt, 1 without suffix, 1 .heic, 1 .csv. Valid are"):
        load_source(str(tmp_path))


def test_a_hub_name_without_network_is_one_line(monkeypatch):
    with pytest.raises(UsageError, match="hub has no such data set, or cannot be reached") as error:
        load_source("nobody/nothing")
    assert "\n" not in str(error.value)


def test_archives_are_to_be_extracted(tmp_path):
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for label in ("cat", "dog"):
            with archive.open(f"{label}/1.png", "w") as file:
                picture().save(file, "PNG")
    with pytest.raises(UsageError, match="train.zip' is a file. Use the folder .* extract archive"):
        load_source(str(tmp_path / "train.zip"))
    with pytest.raises(UsageError, match=r"it holds archives, .* Extract them"):
        load_source(str(tmp_path))
