"""Image folders as people have them: no image of another split is ever trained on."""

import logging
import os
import shutil

import pytest

from tests.data.files import module, picture
from vitprune.data import Columns, Split
from vitprune.data.sources import load_source
from vitprune.data.streaming import load_streams
from vitprune.errors import UsageError

ANIMALS = ("cat", "dog")


@pytest.fixture(autouse=True)
def _said(caplog):
    caplog.set_level(logging.INFO)


def write(root, *folders):
    """Write four images into each folder; the last part of a file's name says which it is."""
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for number in range(4):
            picture((8, 8)).save(root / folder / f"{number}.png")
    return root


def classes(*splits):
    return [f"{split}/{animal}" for split in splits for animal in ANIMALS]


def folders_of(splits, root):
    """Return the folders at the top from which the images of each split come."""
    return {
        name: {os.path.relpath(row["image"]["path"], root).rsplit("/", 2)[0] for row in rows}
        for name, rows in splits.items()
    }


@pytest.mark.parametrize(
    "names",
    [
        {"train": "Train", "validation": "Val"},
        {"train": "TRAINING", "validation": "Validation", "test": "Testing"},
        {"train": "train_images", "validation": "valid_images", "test": "test_images"},
        {"train": "seg_train/seg_train", "validation": "seg_dev/seg_dev"},
        {"train": "Training Set", "validation": "Validate", "test": "eval"},
        {"train": "pets/train", "validation": "pets/val"},
        {"train": "test/pets/train2017", "validation": "test/pets/val2017"},
        {"train": "training_data/train", "test": "training_data/test"},
    ],
    ids=lambda names: names["train"],
)
def test_splits_of_any_case_and_usual_spelling(tmp_path, names):
    root = write(tmp_path / "data", *classes(*names.values()))
    held_out = {} if "validation" in names else {"validation": {names["train"]}}
    expected = {name: {folder} for name, folder in names.items()}
    assert folders_of(load_source(str(root)), root) == expected | held_out
    if held_out:
        return
    streams = load_streams(str(root), Columns(), dict.fromkeys(names, 8))
    assert folders_of({n: s.rows for n, s in streams.items()}, root) == expected


def test_what_was_inferred_is_reported_once(tmp_path, caplog):
    root = write(tmp_path / "data", *classes("pets/Train", "pets/val"), "pets/masks")
    load_streams(str(root), Columns(), {"train": 8, "validation": 8})
    assert caplog.text.count(f"Reading {root}/pets: all images of {root} are there") == 1
    assert caplog.text.count("train = Train") == 1
    assert caplog.text.count("not in a split: ['masks']") == 1


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (classes("trainval", "test"), "'trainval' .* looks like a split beside .'test'."),
        (classes("trainval"), r"\['trainval'\] .* look like splits, but their names"),
        (classes("fold1", "fold2"), r"\['fold1', 'fold2'\] .* look like splits"),
        (classes("train", "Prüfung"), "'Prüfung' .* looks like a split beside .'train'."),
        (classes("tr", "va"), r"\['tr', 'va'\] .* hold the same classes \(\['cat', 'dog'\]\)"),
        (classes("train", "training"), r"\['train', 'training'\] .* all name the train split"),
        (classes("train", "test-dev/dev"), "'test-dev' .* looks like a split beside .'train'."),
        (
            classes("train/train", "train/val", "test"),
            "'train' .* contains folders with the names of",
        ),
        (classes("a/train", "a/test", "b/train", "b/test"), "'a' .* contains folders with the"),
        (["bullet_train/ice", "bus/city"], r"'bullet_train' .* looks like a split, but \['bus'\]"),
        (["train", "val"], r"\['train', 'val'\] .* hold images without class folders"),
        (["x/train", "x/val", "x/extra"], r"\['train', 'val'\] .* images without class folders"),
        (["train_images", "test_images"], "images without class folders"),
        (["cat/train", "cat/test", "dog/train", "dog/test"], "images without class folders"),
        ([*classes("train"), "val"], "'val' .* has no class folders with images"),
        ([*classes("train"), "val/a", "val/b"], r"validation .* \['a', 'b'\], and train has none"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_could_be_a_split_is_never_trained_on(tmp_path, folders, message):
    root = write(tmp_path / "data", *folders)
    for load in (load_source, lambda source: load_streams(source, Columns(), {})):
        with pytest.raises(UsageError, match=message):
            load(str(root))


@pytest.mark.parametrize(
    "folders",
    [
        ["animals/cat", "animals/dog", "vehicles/car", "vehicles/train"],
        ["Testudo/graeca", "Testudo/hermanni", "Emys/orbicularis"],
        ["train", "bus"],
        ["test", "control"],
    ],
    ids=lambda folders: folders[0],
)
def test_classes_may_be_called_as_splits_are(tmp_path, folders):
    root = write(tmp_path / "data", *folders)
    splits = load_source(str(root), split=Split(0.25))
    assert splits["train"].features["label"].names == sorted(f.split("/")[-1] for f in folders)
    assert len(splits["train"]) + len(splits["validation"]) == 4 * len(folders)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["test"], "not in a split: ['test']"),
        (["test/unknown"], "train has none of its class folders ['unknown']"),
        (classes("old/train", "old/test"), "not in a split: ['old']"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_unlabelled_test_images_and_other_folders_are_ignored(tmp_path, caplog, folders, message):
    root = write(tmp_path / "data", *classes("train", "val"), *folders)
    assert folders_of(load_source(str(root)), root) == {"train": {"train"}, "validation": {"val"}}
    assert message in caplog.text


@pytest.mark.parametrize(
    ("folders", "stray"),
    [
        (classes("train", "val"), "train/stray.png"),
        (["cat", "dog"], "stray.png"),
        (["cat", "dog"], "cat/more/stray.png"),
    ],
)
def test_a_stray_image_is_named(tmp_path, folders, stray):
    root = write(tmp_path / "data", *folders)
    (root / stray).parent.mkdir(exist_ok=True)
    picture().save(root / stray)
    with pytest.raises(UsageError, match=f"'{stray}' of .* is not in a class folder"):
        load_source(str(root))


def test_an_image_beside_the_splits_is_ignored(tmp_path, caplog):
    root = write(tmp_path / "data", *classes("train", "val"))
    picture().save(root / "logo.png")
    assert len(load_source(str(root))["train"]) == 8
    assert "not in a split: ['logo.png']" in caplog.text


def test_linked_folders_count(tmp_path):
    root = write(tmp_path / "data", "Train/cat")
    write(tmp_path / "elsewhere", "dog", "val/cat", "val/dog")
    (root / "Train" / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    (root / "Val").symlink_to(tmp_path / "elsewhere" / "val")
    (root / "Train" / "loop").symlink_to(root)
    splits = load_source(str(root))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 8, "validation": 8}
    assert splits["train"]["label"] == [0] * 4 + [1] * 4


@pytest.mark.parametrize("link", ["train/emu", "train/cat/9.png"])
def test_a_link_without_a_target_is_named(tmp_path, link):
    root = write(tmp_path / "data", *classes("train", "val"))
    (root / link).symlink_to("/nowhere/target")
    with pytest.raises(UsageError, match=f"{link} is a link to '/nowhere/target', which does not"):
        load_source(str(root))


def test_classes_in_several_folders_are_reported(tmp_path, caplog):
    root = write(tmp_path / "data", "train/zoo/cat", "train/zoo/dog", "train/home/cat")
    assert load_source(str(root))["train"].features["label"].names == ["cat", "dog"]
    assert "'cat' has the images of ['train/home/cat', 'train/zoo/cat']" in caplog.text


def test_paths_with_brackets(tmp_path):
    root = write(tmp_path / "pets [1] *?", *classes("train {a}", "val [b]"))
    splits = load_source(str(root))
    assert folders_of(splits, root) == {"train": {"train {a}"}, "validation": {"val [b]"}}


def test_a_name_that_is_not_utf8_is_named(tmp_path):
    root = write(tmp_path / "data", *classes("train", "val"))
    name = os.fsencode(root / "train" / "cat") + b"/caf\xe9.png"
    shutil.copy(root / "train" / "cat" / "0.png", name)
    with pytest.raises(UsageError, match=r"caf\\xe9.png' is not valid UTF-8. Rename"):
        load_source(str(root))


def test_files_that_describe_images_are_no_tables(tmp_path):
    root = write(tmp_path / "data", *classes("Train", "Val"))
    (root / "labels.csv").write_text("id,label\n0,cat\n")
    for image in list(root.rglob("*.png")):
        image.with_suffix(".json").write_text("{}")
    assert folders_of(load_source(str(root)), root) == {"train": {"Train"}, "validation": {"Val"}}


def test_formats_that_are_not_read_are_named(tmp_path, caplog):
    root = write(tmp_path / "data", "cat", "dog", "bird")
    for image in (root / "bird").iterdir():
        image.rename(image.with_suffix(".HEIC"))
    assert load_source(str(root))["train"].features["label"].names == ["cat", "dog"]
    assert "Ignoring 4 images" in caplog.text


def test_images_to_predict_are_files_patterns_and_folders(tmp_path, processor):
    root = write(tmp_path / "images", "a", "b")
    places = [str(root / "b" / "3.png"), str(root / "**" / "[12].png"), str(root / "a")]
    files = module(None, processor, predict_images=places).predict_files
    names = [str(file.relative_to(root)) for file in files]
    assert names == ["b/3.png", "a/1.png", "a/2.png", "b/1.png", "b/2.png", "a/0.png", "a/3.png"]


def test_images_to_predict_may_lie_in_linked_folders(tmp_path, processor):
    write(tmp_path / "real", "a")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link").symlink_to(tmp_path / "real")
    data = module(None, processor, predict_images=str(tmp_path / "images"))
    assert [path.name for path in data.predict_files] == [f"{number}.png" for number in range(4)]
    os.rename(tmp_path / "real" / "a", os.fsencode(tmp_path / "real") + b"/\xe9")
    data = module(None, processor, predict_images=str(tmp_path / "images"))
    with pytest.raises(UsageError, match="is not valid UTF-8"):
        _ = data.predict_files
