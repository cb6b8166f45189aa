"""The image and the label column, whatever the source calls them."""

import pytest
from datasets import ClassLabel, Dataset, Features, Image, LargeList, List, Value

from tests.data.files import parquet, picture
from vitprune.data import Columns, Split
from vitprune.data.sources import load_source
from vitprune.data.streaming import load_streams
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
        ["1.png", "2.png"],
    ],
    ids=["one", "one, validated", "none"],
)
def test_an_image_folder_without_two_classes(tmp_path, files):
    (tmp_path / "train" / "empty").mkdir(parents=True)
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        picture().save(tmp_path / file)
    with pytest.raises(UsageError, match="fewer than two class folders. Put .*train/cat/1.jpg"):
        load_source(str(tmp_path))


HOT = {"image": Image(), "cat": Value("int64"), "dog": Value("int64")}


@pytest.mark.parametrize(
    ("feature", "labels"),
    [
        (List(Value("int64")), [[0, 1], [1]]),
        (List(ClassLabel(names=["cat", "dog"])), [[0, 1], [1]]),
        (List(Value("string")), [["cat", "dog"], []]),
        (LargeList(Value("bool")), [[True, True], [False, True]]),
    ],
    ids=["numbers", "classes", "names", "multi-hot"],
)
def test_lists_of_labels_are_refused(tmp_path, feature, labels):
    source = parquet(tmp_path / "d", labels, feature)
    (tmp_path / "d" / "validation-0-of-1.parquet").write_bytes(
        (tmp_path / "d" / "train-0-of-1.parquet").read_bytes()
    )
    for load in (load_source, lambda source: load_streams(source, Columns(), {})):
        with pytest.raises(UsageError, match="'label' .* multi-label data, .* Valid is a column"):
            load(source)


def test_a_column_per_class_is_refused(tmp_path):
    rows = {"image": [{"bytes": b"", "path": None}] * 2, "cat": [1, 0], "dog": [1, 1]}
    Dataset.from_dict(rows, Features(HOT)).to_parquet(tmp_path / "train-0.parquet")
    with pytest.raises(UsageError, match=r"2 columns of 0 and 1, \['cat', 'dog'\].*multi-hot"):
        load_source(str(tmp_path))
    rows["dog"] = [2, 1]
    Dataset.from_dict(rows, Features(HOT)).to_parquet(tmp_path / "train-0.parquet")
    with pytest.raises(UsageError, match="no label column. Its columns are"):
        load_source(str(tmp_path))


def test_a_label_that_is_no_label(tmp_path):
    source = parquet(tmp_path / "d", [{"x": 1}, {"x": 2}], {"x": Value("int64")})
    with pytest.raises(UsageError, match="'label' .* holds .*, not labels"):
        load_source(source)
