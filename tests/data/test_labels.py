"""Labels are numbers of the same classes in every split."""

import pytest
from datasets import ClassLabel, Value

from tests.data.files import parquet
from vitprune.data import Columns, Split
from vitprune.data.sources import load_source
from vitprune.errors import UsageError


def test_names_decide_about_labels_that_are_strings(tmp_path):
    source = parquet(tmp_path / "d", ["tench", "church", "tench"] * 4, Value("string"))
    splits = load_source(source, Columns(class_names=["tench", "church"]), Split(0.25))
    names = splits["train"].features["label"].names
    assert names == ["tench", "church"]
    assert sum(splits["train"]["label"]) + sum(splits["validation"]["label"]) == 4
    with pytest.raises(UsageError, match=r"the labels \['church'\]; valid are \['tench', 'dog'\]"):
        load_source(source, Columns(class_names=["tench", "dog"]))


@pytest.mark.parametrize(
    ("labels", "feature", "message"),
    [
        ([0, 1, 5], None, "without gaps"),
        ([0, -1, 1], None, "without gaps"),
        ([0, 1, 2], ClassLabel(num_classes=2), "label 2; valid are 0 to 1"),
        ([0, 1, -1], ClassLabel(num_classes=2), "label -1; valid are 0 to 1"),
        ([0.5, 1.5], Value("float64"), "integers or strings"),
        ([0, None, 1], None, "row 1 of .* has no label"),
        (["cat", "", "dog"], Value("string"), "row 1 of .* has no label"),
        ([0, 0, 0], None, "one class only"),
        ([0, 0, 0], ClassLabel(names=["a"]), "one class only"),
    ],
)
def test_labels_that_cannot_be_learned(tmp_path, labels, feature, message):
    if isinstance(
        feature, ClassLabel
    ):  # the library checks what it writes itself, so write the table by hand
        import pyarrow.parquet as pq

        source = parquet(tmp_path / "d", [0] * len(labels), feature)
        path = tmp_path / "d" / "train-0-of-1.parquet"
        table = pq.read_table(path)
        pq.write_table(table.set_column(1, "label", [labels]), path)
    else:
        source = parquet(tmp_path / "d", labels, feature)
    with pytest.raises(UsageError, match=message):
        load_source(source)


def test_a_class_without_images_keeps_its_number(tmp_path, caplog):
    source = parquet(tmp_path / "d", [0, 2] * 5, ClassLabel(names=["a", "b", "c"]))
    splits = load_source(source)
    assert "has no images of ['b']" in caplog.text
    assert splits["train"].features["label"].names == ["a", "b", "c"]
    assert set(splits["train"]["label"]) == {0, 2}
