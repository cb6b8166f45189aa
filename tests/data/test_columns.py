"""The image and the label column, whatever the source calls them."""

import pytest
from datasets import Dataset

from tests.data.files import parquet, picture
from vitprune.data import Columns, Split
from vitprune.data.sources import load_source
from vitprune.errors import UsageError


def test_columns_are_listed_when_none_fits(tmp_path):
    Dataset.from_dict({"x": [1], "y": [2]}).to_parquet(tmp_path / "train-0.parquet")
    with pytest.raises(
        UsageError, match=r"no image column. Its columns are \['x', 'y'\]; name one with"
    ):
        load_source(str(tmp_path))
    with pytest.raises(UsageError, match="columns.image 'z' is not a column"):
        load_source(str(tmp_path), Columns("z", "y"))
    with pytest.raises(UsageError, match="holds Value.*, not images"):
        load_source(str(tmp_path), Columns("x", "y"))


def test_one_of_several_label_columns_is_asked_for(tmp_path):
    source = parquet(tmp_path / "d", [0, 1], target=[1, 0])
    with pytest.raises(UsageError, match=r"several label columns, \['label', 'target'\]"):
        load_source(source)
    assert load_source(source, Columns(label="target"), Split(0.5))["train"].num_rows == 1


@pytest.mark.parametrize(
    "files",
    [
        ["train/cat/1.png", "train/cat/2.png"],
        ["train/cat/1.png", "train/cat/2.png", "validation/cat/3.png"],
        ["train/1.png", "train/2.png"],
        [
            "train/cat/1.png",
            "train/dog/2.png",
            "test/3.png",
        ],  # this is where the library stops to look for classes
    ],
    ids=["one", "one, validated", "none", "not everywhere"],
)
def test_an_image_folder_without_two_classes(tmp_path, files):
    (tmp_path / "train" / "empty").mkdir(parents=True)
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        picture().save(tmp_path / file)
    with pytest.raises(
        UsageError, match="one class only, or none: at least two folders.*train/cat/1.jpg"
    ):
        load_source(str(tmp_path))
